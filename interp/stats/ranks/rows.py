"""Row statistics on a ring: keys come by, and what the rows have met of them is merged."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.ranks.keys import Travelling, row_blocks, tiles
from interp.stats.ranks.ring import Ring
from interp.stats.row_state import RowState, Spread, finite
from interp.stats.softmax.points import at_keys
from interp.stats.wanted import Wanted
from models.forms import Dots


def rows_of(
    mine: Dots, own: Travelling, wanted: Wanted, ring: Ring, sizes: Sequence[int]
) -> tuple[HeadStats, Float[Tensor, "B H T"]]:
    """Statistics of this rank's rows, from one round of all keys, and every row's largest logit.

    Keys asked for row by row are met once, on one visit. Their weights are kept relative to the
    log-sum-exp so far, and go over to the larger one as the sums of a RowState do.
    """
    blocks = row_blocks(mine.q.shape[2])
    met = [Met.nothing(mine.part(rows, slice(0)), wanted) for rows in blocks]
    asked = keys_asked(mine, wanted)
    weights = mine.q.new_zeros(*mine.q.shape[:3], asked.shape[-1], dtype=torch.float64)
    lse = None
    visible = torch.zeros_like(mine.rows)[None]
    for _, keys in own.round(ring, sizes):
        visit = keys.before(mine)
        visible = visible + count(visit)
        for block, where, near in tiles(visit, wanted.apart):
            norms = None if keys.norms is None else keys.norms[..., where]
            tile = visit.part(blocks[block], where)
            met[block] = met[block].meet(tile, norms, wanted, near)
        if asked.shape[-1]:
            before, lse = lse, Met.joined(met).state.lse
            if before is not None:
                weights = weights * (before - finite(lse)).exp()[..., None]
            weights = weights + at_keys(visit, lse, asked)
    all_met = Met.joined(met)
    return finished(all_met, weights, visible, mine, wanted), all_met.state.m


def keys_asked(mine: Dots, wanted: Wanted) -> Int[Tensor, "#B T C"]:
    """Positions of the keys asked for row by row: columns, offsets, targets."""
    rows = mine.rows[None, :, None]
    columns = rows.new_tensor(wanted.columns).expand(1, rows.shape[1], -1)
    parts = [columns, rows - rows.new_tensor(wanted.offsets)]
    if wanted.targets is not None:
        parts.append(wanted.targets[..., None].to(rows.device))
    return torch.cat([x.expand(max(len(p) for p in parts), -1, -1) for x in parts], -1)


def count(visit: Dots) -> Int[Tensor, "#B T"]:
    """How many of the visiting keys each row may see."""
    last = visit.rows[None]
    first = torch.zeros_like(last) if visit.start is None else visit.start[:, None]

    def between(low: Tensor, high: Tensor) -> Tensor:
        low, high = torch.broadcast_tensors(low, high)
        above = torch.searchsorted(visit.keys, high.contiguous(), right=True)
        return (above - torch.searchsorted(visit.keys, low.contiguous())).clamp_min(0)

    if visit.window is None:
        return between(first, last)
    hidden = last - visit.window
    return between(torch.maximum(first, hidden + 1), last) + between(
        first, hidden.clamp_max(visit.sinks - 1)
    )


@dataclass(frozen=True, kw_only=True)
class Met:
    """What some query rows have met so far."""

    apart: RowState  # of the keys told apart
    rest: RowState
    best: Float[Tensor, "B H T K"]  # logits of the strongest keys
    best_at: Int[Tensor, "B H T K"]

    @property
    def state(self) -> RowState:
        """Of all keys."""
        return self.apart.merge(self.rest)

    @staticmethod
    def nothing(rows: Dots, wanted: Wanted) -> "Met":
        """Before the first key."""
        none = rows.part(slice(None), slice(0))
        norms = none.q.new_zeros(*none.q.shape[:2], 0)
        state = state_of(none, none.logits(), norms, wanted)
        best = none.q.new_full((*none.q.shape[:3], max(wanted.top, int(wanted.argmax))), -torch.inf)
        at = torch.full_like(best, -1, dtype=torch.long)
        return Met(apart=state, rest=state, best=best, best_at=at)

    def meet(
        self, tile: Dots, norms: Float[Tensor, "B H S"] | None, wanted: Wanted, near: bool
    ) -> "Met":
        """After one more tile of keys, `near` if they are among those told apart."""
        s = tile.logits()
        state = state_of(tile, s, norms, wanted)
        best, best_at = self.best, self.best_at
        if kept := best.shape[-1]:
            found, where = s.topk(min(kept, s.shape[-1]), -1)
            there = torch.where(found > -torch.inf, tile.keys[where], -1)
            best, order = torch.cat([best, found], -1).topk(kept, -1)
            best_at = torch.cat([best_at, there], -1).gather(-1, order)
        if near:
            return replace(self, apart=self.apart.merge(state), best=best, best_at=best_at)
        return replace(self, rest=self.rest.merge(state), best=best, best_at=best_at)

    @staticmethod
    def joined(parts: Sequence["Met"]) -> "Met":
        """Of blocks of rows, all rows; states in float64, as a float32 of 100 is 4e-6 off."""
        return Met(
            apart=joined_states([part.apart for part in parts]),
            rest=joined_states([part.rest for part in parts]),
            best=torch.cat([part.best for part in parts], 2),
            best_at=torch.cat([part.best_at for part in parts], 2),
        )


def joined_states(parts: Sequence[RowState]) -> RowState:
    """States of blocks of rows as one."""
    sums = {f.name: [getattr(part, f.name) for part in parts] for f in fields(RowState)}
    return RowState(
        **{name: None if x[0] is None else torch.cat(x, -1).double() for name, x in sums.items()}
    )


def state_of(
    tile: Dots, s: Float[Tensor, "B H T S"], norms: Float[Tensor, "B H S"] | None, wanted: Wanted
) -> RowState:
    """A tile's state, with lags for positions: far from token 0 positions would cancel."""
    lag = tile.rows[:, None] - tile.keys
    return RowState.of(
        s,
        entropy=wanted.entropy,
        square=wanted.square,
        position=lag.to(s.dtype) if wanted.distance else None,
        norm=norms[:, :, None].expand_as(s) if wanted.valued else None,
    )


def finished(
    met: Met,
    weights: Float[Tensor, "B H T C"],
    visible: Int[Tensor, "#B T"],
    mine: Dots,
    wanted: Wanted,
) -> HeadStats:
    """What was met, over the whole denominator. `weights` are over that of the keys alone."""
    state = met.state
    lse = state.lse if mine.sink is None else torch.logaddexp(state.lse, mine.sink.double())
    every = state.finalize(lse)
    weights = (weights * (state.lse - finite(lse)).exp()[..., None]).float()
    ends = [len(wanted.columns), len(wanted.columns) + len(wanted.offsets)]
    columns, offsets, targets = weights.tensor_split(ends, -1)
    best = (met.best - finite(lse)[..., None]).exp().float()
    return HeadStats(
        visible=visible,
        row_sum=every.mass.float(),
        every=single(every),
        rest=single(met.rest.finalize(lse)) if wanted.apart else None,
        lse=lse.float(),
        distance=state.total("d", lse).float() if wanted.distance else None,
        argmax=met.best_at[..., 0] if wanted.argmax else None,
        top_keys=met.best_at[..., : wanted.top] if wanted.top else None,
        top_weights=best[..., : wanted.top] if wanted.top else None,
        columns=columns if wanted.columns else None,
        offsets=offsets if wanted.offsets else None,
        targets=None if wanted.targets is None else targets[..., 0],
        valued=state.total("f", lse).float() if wanted.valued else None,
    )


def single(sums: Spread) -> Spread:
    """The same in float32."""
    parts = {f.name: getattr(sums, f.name) for f in fields(sums)}
    return Spread(**{name: None if x is None else x.float() for name, x in parts.items()})
