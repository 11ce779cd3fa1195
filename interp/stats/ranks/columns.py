"""What keys receive, lags and blocks on a ring: a second round, with every row's sum known."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.ranks.keys import Travelling, row_blocks, tiles
from interp.stats.ranks.ring import Ring
from interp.stats.row_state import finite
from interp.stats.wanted import Wanted
from models.forms import Dots


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Sums over rows, as in HeadStats; None: not asked for."""

    received: Float[Tensor, "B H S"] | None
    lags: Float[Tensor, "B H N"] | None
    block_sum: Float[Tensor, "B H I J"] | None
    block_peak: Float[Tensor, "B H I J"] | None


def columns_of(
    mine: Dots,
    own: Travelling,
    m: Float[Tensor, "B H T"],
    peak: Float[Tensor, "B H T"],
    wanted: Wanted,
    ring: Ring,
    sizes: Sequence[int],
) -> Columns:
    """The sums over all ranks' rows, from a second round of all keys and their sums so far.

    Weights come from each row's largest logit m and its weight, the peak: A = exp(s - m) · peak.
    """
    n, heads = sum(sizes), mine.q.shape[:2]
    blocks = -(-n // wanted.block) if wanted.block else 0
    lags = mine.q.new_zeros(*heads, n if wanted.lags else 0)
    total = mine.q.new_zeros(*heads, blocks, blocks)
    strongest = torch.zeros_like(total)
    received = mine.q.new_zeros(*heads, len(own.at))
    rows = row_blocks(mine.q.shape[2])
    for owner, keys in own.round(ring, sizes):
        visit = keys.before(mine)
        for block, where, _ in tiles(visit):
            tile = visit.part(rows[block], where)
            top, share = (x[..., rows[block], None] for x in (finite(m).float(), peak))
            a = (tile.logits() - top).exp() * share
            received[..., where] += a.sum(-2)
            if wanted.lags:
                add_lags(lags, a, tile.rows, tile.keys)
            if wanted.block:
                add_blocks(
                    total, strongest, a, tile.rows // wanted.block, tile.keys // wanted.block
                )
        if wanted.received:
            received = ring.onward(received, 2, sizes[owner - 1])
        else:
            received = mine.q.new_zeros(*heads, sizes[owner - 1])
    return Columns(
        received=received if wanted.received else None,
        lags=ring.reduced(lags) if wanted.lags else None,
        block_sum=ring.reduced(total) if wanted.block else None,
        block_peak=ring.reduced(strongest, dist.ReduceOp.MAX) if wanted.block else None,
    )


def add_lags(
    lags: Float[Tensor, "B H N"],
    a: Float[Tensor, "B H T S"],
    rows: Int[Tensor, " T"],
    keys: Int[Tensor, " S"],
) -> None:
    """Add a tile's weights to the lags they stand at."""
    lag = (rows[:, None] - keys).clamp_min(0)  # weights of keys to come are 0
    low, high = int(lag.min()), int(lag.max()) + 1
    part = a.new_zeros(*a.shape[:2], high - low)
    part.scatter_add_(-1, (lag - low).flatten().expand(*a.shape[:2], -1), a.flatten(-2))
    lags[..., low:high] += part


def add_blocks(
    total: Float[Tensor, "B H I J"],
    peak: Float[Tensor, "B H I J"],
    a: Float[Tensor, "B H T S"],
    rows: Int[Tensor, " T"],
    keys: Int[Tensor, " S"],
) -> None:
    """Add a tile's weights to the blocks, given by number, that they stand in."""
    low, high = int(keys[0]), int(keys[-1]) + 1
    side, at = a.new_zeros(*a.shape[:3], high - low), keys - low
    total[..., low:high].index_add_(2, rows, side.index_add(3, at, a))
    side = torch.zeros_like(side).scatter_reduce(3, at.expand_as(a), a, "amax")
    where = rows[:, None].expand_as(side)
    peak[..., low:high] = peak[..., low:high].scatter_reduce(2, where, side, "amax")
