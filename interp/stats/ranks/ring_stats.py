"""Statistics of a sequence that is spread over ranks: keys go round, every row's state stays.

Each rank calls `ring_stats` with the queries and keys of its tokens (`shard` says which). K alone
travels, so a pass moves half of what ring attention moves (Liu et al. 2023, arXiv 2310.01889), in
the dtype it came in. What keys receive is summed on a second round, in which each shard's sums
travel with its keys and come home with the last step: no rank holds a sum over all n keys. Lags and
blocks belong to no rank's keys: each rank adds up its rows' part and one all_reduce of [B, H, n] or
[B, H, I, J] gives every rank the whole.

Where heads are spread instead (tensor parallelism, `ColwiseParallel` on the projections of q and
k), nothing of this is needed: each rank has whole rows of its own heads, and an ordinary backend on
the local q and k gives their statistics without communication, provided the ranks divide the key
heads evenly.
"""

from dataclasses import fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.ranks.columns import columns_of
from interp.stats.ranks.keys import Travelling
from interp.stats.ranks.ring import Ring
from interp.stats.ranks.rows import rows_of
from interp.stats.wanted import Wanted
from models.forms import Dots


@torch.no_grad()
def ring_stats(
    dots: Dots,
    wanted: Wanted,
    norms: Float[Tensor, "B H S"] | None = None,
    ring: Ring | None = None,
) -> HeadStats:
    """Statistics of this rank's rows over the keys of all ranks, in float32; every rank calls it.

    `dots` and `norms` hold this rank's tokens, at `query_at` and `key_at`; `wanted.targets` has one
    key per row of this rank. `received` is of this rank's keys, over all rows; `lags` and blocks
    are of the whole matrix. ValueError, on every rank at once, where one rank's part does not fit.
    """
    ring = ring or Ring()
    sizes = agreed(dots, wanted, norms, ring)
    sink = None if dots.sink is None else dots.sink.float()
    mine, own = replace(dots, q=dots.q.float(), sink=sink), Travelling.of(dots, norms)
    found, m = rows_of(mine, own, wanted, ring, sizes)
    if not (wanted.received or wanted.lags or wanted.block):
        return found
    columns = columns_of(mine, own, m, found.every.peak, wanted, ring, sizes)
    return replace(found, **{f.name: getattr(columns, f.name) for f in fields(columns)})


def whole_of(stats: HeadStats, dots: Dots, ring: Ring | None = None) -> HeadStats:
    """The statistics of all rows and keys in order, on every rank; O(n) per head on each."""
    ring = ring or Ring()

    def rows(x: Tensor | None) -> Tensor | None:
        return None if x is None else ring.in_order(x, dots.rows, 2)

    def spread(x: object) -> object:
        return x and replace(x, **{f.name: rows(getattr(x, f.name)) for f in fields(x)})

    apart = ("visible", "every", "rest", "received", "lags", "block_sum", "block_peak")
    by_row = {f.name: rows(getattr(stats, f.name)) for f in fields(stats) if f.name not in apart}
    return replace(
        stats,
        **by_row,
        visible=ring.in_order(stats.visible, dots.rows, 1),
        every=spread(stats.every),
        rest=spread(stats.rest),
        received=None if stats.received is None else ring.in_order(stats.received, dots.keys, 2),
    )


def agreed(dots: Dots, wanted: Wanted, norms: Tensor | None, ring: Ring) -> list[int]:
    """Number of keys of every rank. Ranks speak before they send, so that none waits for another
    that has failed.
    """
    heard = ring.gather((fault(dots, wanted, norms), terms(dots, wanted, norms), Extent.of(dots)))
    for rank, (wrong, said, _) in enumerate(heard):
        if wrong:
            raise ValueError(f"rank {rank}: {wrong}")
        for name, first in heard[0][1].items():
            if said[name] != first:
                raise ValueError(
                    f"all ranks must have the same {name}; rank 0 has {first}, "
                    f"rank {rank} has {said[name]}"
                )
    held = [keys.size for *_, keys in heard]
    n = 1 + max(keys.last for *_, keys in heard)
    if sum(held) != n or sum(keys.total for *_, keys in heard) != n * (n - 1) // 2:
        raise ValueError(
            f"the ranks hold {sum(held)} keys up to position {n - 1}; give each of the positions "
            f"0 to {n - 1} to one rank"
        )
    return held


def fault(dots: Dots, wanted: Wanted, norms: Tensor | None) -> str | None:
    """What is wrong with one rank's part, if anything."""
    if dots.query_at is None or dots.key_at is None:
        return "a shard's rows and keys need positions; give query_at and key_at"
    for name, at, n in (("query_at", dots.query_at, dots.q), ("key_at", dots.key_at, dots.k)):
        if not len(at) or len(at) != n.shape[2] or bool((at.diff() < 1).any()):
            return (
                f"{name} needs rising positions of the {n.shape[2]} tokens of its side, at least "
                f"one; got {len(at)}"
            )
    if wanted.valued and norms is None:
        return "valued needs the norms of the values; give norms of this rank's keys"
    if wanted.targets is not None and wanted.targets.shape[1] != len(dots.query_at):
        return (
            f"targets needs one key for each of this rank's {len(dots.query_at)} rows, "
            f"got {wanted.targets.shape[1]}"
        )
    return None


class Extent(NamedTuple):
    """What tells whether the keys of all ranks are each position once."""

    size: int
    last: int
    total: int  # Σ position

    @staticmethod
    def of(dots: Dots) -> "Extent":
        """Of one rank."""
        at = dots.keys
        return Extent(len(at), int(at[-1]) if len(at) else -1, int(at.sum()))


def terms(dots: Dots, wanted: Wanted, norms: Tensor | None) -> dict[str, object]:
    """What all ranks must have alike."""
    asked = {f.name: getattr(wanted, f.name) for f in fields(wanted) if f.name != "targets"}
    form = {name: getattr(dots, name) for name in ("scale", "softcap", "window", "sinks")}
    given = {name: getattr(dots, name) is not None for name in ("query_bias", "sink")}
    return {
        **asked,
        **form,
        **given,
        "targets": wanted.targets is not None,
        "norms": norms is not None,
        "batch and heads": tuple(dots.q.shape[:2]),
        "key heads and width": (dots.k.shape[1], dots.k.shape[3]),
        "type of keys": str(dots.k.dtype),
        "start": None if dots.start is None else dots.start.tolist(),
    }
