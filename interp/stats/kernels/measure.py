"""HeadStats from the two passes, and from torch what is a look-up and not a sum over tiles."""

from dataclasses import fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.kernels.launch import Operands, column_sums, row_sums
from interp.stats.kernels.strips import ordered
from interp.stats.kernels.tiles import visible
from interp.stats.row_state import RowState, Spread
from interp.stats.softmax.points import with_points
from interp.stats.wanted import Wanted
from models.forms import Dots


def measured(dots: Dots, wanted: Wanted, norms: Float[Tensor, "B H S"] | None) -> HeadStats:
    """All that is wanted, on the device of the queries.

    Largest keys and lags are read by torch in strips on the same device, more slowly.
    """
    operands = Operands.of(dots)
    every, rest = row_states(operands, wanted, norms)
    lse = every.lse if dots.sink is None else every.lse.logaddexp(dots.sink.double())
    columns = None
    if wanted.received or wanted.block:
        columns = column_sums(operands, lse, wanted.block)
    spread = narrow(every.finalize(lse))
    found = HeadStats(
        visible=visible(dots),
        row_sum=spread.mass,
        every=spread,
        rest=None if rest is None else narrow(rest.finalize(lse)),
        lse=lse.float(),
        distance=every.total("d", lse).float() if wanted.distance else None,
        valued=every.total("f", lse).float() if wanted.valued else None,
        received=columns.received if wanted.received else None,
        block_sum=columns.block_sum if wanted.block else None,
        block_peak=columns.block_peak if wanted.block else None,
        **ordered(dots, wanted, lse),
    )
    return with_points(found, dots, wanted, lse)


def row_states(
    x: Operands, wanted: Wanted, norms: Float[Tensor, "B H S"] | None
) -> tuple[RowState, RowState | None]:
    """Sums over all keys, and over all but those told apart, which are summed on their own.

    Nothing is subtracted: where a sink holds 0.999 of a row, that would leave noise.
    """
    if not wanted.apart:
        return row_sums(x, wanted, norms), None
    at = int(torch.searchsorted(x.k_at, wanted.apart))
    lead, rest = (
        row_sums(
            Operands.of(x.dots.part(slice(None), keys)),
            wanted,
            None if norms is None else norms[:, :, keys],
        )
        for keys in (slice(0, at), slice(at, None))
    )
    return lead.merge(rest), rest


def narrow(sums: Spread) -> Spread:
    """The same in float32."""
    parts = {f.name: getattr(sums, f.name) for f in fields(sums)}
    return replace(sums, **{k: None if x is None else x.float() for k, x in parts.items()})
