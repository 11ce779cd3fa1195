"""Sums over rows, taken while a block of rows still has its weights: no second pass is needed."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.softmax.tiling import Layout, Tile
from interp.stats.wanted import Wanted

NARROW = 64  # a maximum over fewer neighbours is faster by pooling: 3 times at 16


@dataclass(frozen=True, eq=False)
class Weighed:
    """What turns a row block's tiles, each relative to its own maximum, into A."""

    factors: Float[Tensor, "tiles N R"]
    top: Float[Tensor, "N R"]  # largest logit
    total: Float[Tensor, "N R"]  # the denominator, relative to it
    shares: "Shares"


@dataclass(frozen=True, eq=False)
class Shares:
    """The block rows that a row block lies in, and the largest logit before each block."""

    side: int
    first: int  # block row of the first row
    cuts: tuple[int, ...]  # rows where a block row begins, and the end
    maxima: Float[Tensor, "N R J"] | None

    @staticmethod
    def of(layout: Layout, rows: slice, wanted: Wanted, n: int) -> "Shares":
        """Nothing seen yet of n heads."""
        count = rows.stop - rows.start
        if not wanted.block:
            return Shares(0, 0, (0, count), None)
        side, top, bottom = wanted.block, layout.row(rows.start), layout.row(rows.stop - 1)
        first, last = top // side, bottom // side
        if layout.even:
            cuts = [0, *(block * side - top for block in range(first + 1, last + 1)), count]
        else:
            at = torch.arange(first, last + 2, device=layout.ramp.device) * side
            cuts = torch.searchsorted(layout.rows[rows], at).tolist()
        seen = max(layout.before(bottom + 1), 1)
        shape = (n, count, layout.key(seen - 1) // side + 1)
        return Shares(side, first, tuple(cuts), layout.ramp.new_full(shape, -torch.inf))

    def peaks(
        self, layout: Layout, s: Float[Tensor, "N R C"], tile: Tile, out: Float[Tensor, "N R"]
    ) -> Float[Tensor, "N R"]:
        """Each row's largest logit in a tile, noting that of every block on the way."""
        if self.maxima is None:
            return torch.amax(s, -1, out=out)
        first = layout.key(tile.keys.start) // self.side
        pieces = block_maxima(layout, s, tile, self.side)
        found = pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1)
        seen = self.maxima[..., first : first + found.shape[-1]]
        torch.maximum(seen, found, out=seen)
        return torch.amax(found, -1, out=out)

    def weighed(
        self,
        m: Float[Tensor, "tiles N R"],
        l: Float[Tensor, "tiles N R"],
        sink: Float[Tensor, "N R"] | None,
    ) -> Weighed:
        """The factors of all tiles from their maxima and sums; a sink is in the denominator too."""
        top = m.amax(0)
        if sink is not None:
            top = torch.maximum(top, sink)
        top = top.clamp_min_(torch.finfo(top.dtype).min)
        factors = (m - top).exp2_()
        total = (factors * l).sum(0)
        if sink is not None:
            total += (sink - top).exp2_()
        total.clamp_min_(torch.finfo(total.dtype).tiny)
        return Weighed(factors.div_(total), top, total, self)


NO_SHARES = Shares(0, 0, (), None)


def block_maxima(
    layout: Layout, s: Float[Tensor, "N R C"], tile: Tile, side: int
) -> list[Float[Tensor, "N R _"]]:
    """Maxima over the blocks that a tile's columns fall into, one block after the other."""
    start, end = layout.key(tile.keys.start), layout.key(tile.keys.stop - 1) + 1
    a, b = -(-start // side) * side - start, end // side * side - start
    if layout.even and a < b:
        ends = [slice(0, a)] if a else [], [slice(b, None)] if b < tile.width else []
        head, tail = ([s[..., x].amax(-1, keepdim=True) for x in part] for part in ends)
        middle = s[..., a:b]
        if side < NARROW:
            return [*head, F.max_pool1d(middle, side), *tail]
        return [*head, middle.unflatten(-1, (-1, side)).amax(-1), *tail]
    borders = range(start // side + 1, (end - 1) // side + 1)
    cuts = [layout.before(block * side) - tile.keys.start for block in borders]
    return [
        s[..., a:b].amax(-1, keepdim=True) if b > a else torch.full_like(s[..., :1], -torch.inf)
        for a, b in pairwise([0, *cuts, tile.width])
    ]


@dataclass(frozen=True, eq=False)
class Strip:
    """Sums over rows of all heads, in float64; None: not wanted."""

    received: Float[Tensor, "heads S"] | None
    lags: Float[Tensor, "heads L"] | None
    block_sum: Float[Tensor, "heads I J"] | None
    block_peak: Float[Tensor, "heads I J"] | None
    blocks: Int[Tensor, " S"] | None  # block of every key
    side: int  # of a block, in tokens

    @staticmethod
    def zeros(layout: Layout, wanted: Wanted, heads: int) -> "Strip":
        """No row seen yet."""

        def zeros(on: object, *shape: int) -> Tensor | None:
            return layout.ramp.new_zeros(heads, *shape, dtype=torch.float64) if on else None

        last = layout.row(layout.rows.shape[0] - 1)
        side = max(1, wanted.block)
        blocks = (last // side + 1, layout.key(layout.keys.shape[0] - 1) // side + 1)
        return Strip(
            received=zeros(wanted.received, layout.keys.shape[0]),
            lags=zeros(wanted.lags, last + 1),
            block_sum=zeros(wanted.block, *blocks),
            block_peak=zeros(wanted.block, *blocks),
            blocks=layout.keys // side if wanted.block else None,
            side=side,
        )

    @property
    def wanted(self) -> bool:
        """Whether anything here is."""
        return any(x is not None for x in (self.received, self.lags, self.block_sum))

    def add(
        self,
        layout: Layout,
        where: slice,
        rows: slice,
        row: Weighed,
        tiles: list[tuple[Tile, Float[Tensor, "N R _"]]],
    ) -> None:
        """Take in one block of rows."""
        if self.received is not None or self.block_sum is not None:
            self.add_columns(layout, where, row, tiles)
        if self.lags is not None:
            for (tile, p), factor in zip(tiles, row.factors, strict=True):
                self.add_lags(layout, where, rows, tile, p * factor[..., None])
        if self.block_peak is not None:
            self.add_peaks(where, row)

    def add_columns(
        self,
        layout: Layout,
        where: slice,
        row: Weighed,
        tiles: list[tuple[Tile, Float[Tensor, "N R _"]]],
    ) -> None:
        """Column sums, apart for every block row."""
        u = row.factors[:, :, None]
        count = len(row.shares.cuts) - 1
        if count > 1:
            u = u * layout.members(row.shares.cuts)
        for factor, (tile, p) in zip(u, tiles, strict=True):
            sums = product(factor, p)
            if self.received is not None:
                self.received[where, tile.keys].add_(sums.sum(1))
            if self.block_sum is not None:
                to = self.block_sum[where, row.shares.first : row.shares.first + count]
                self.add_blocks(layout, to, tile.keys, sums)

    def add_blocks(
        self,
        layout: Layout,
        to: Float[Tensor, "N I J"],
        keys: slice,
        columns: Float[Tensor, "N I C"],
    ) -> None:
        """Column sums of block rows, added up per block."""
        if not layout.even:
            to.index_add_(2, self.blocks[keys], columns.double())
            return
        first, ahead = divmod(layout.key(keys.start), self.side)
        x = F.pad(columns, (ahead, -(ahead + columns.shape[-1]) % self.side))
        x = x.unflatten(-1, (-1, self.side)).sum(-1, dtype=to.dtype)
        to[..., first : first + x.shape[-1]].add_(x)

    def add_peaks(self, where: slice, row: Weighed) -> None:
        """The largest weight of every block."""
        shares = row.shares
        high = (shares.maxima - row.top[..., None]).exp2_().div_(row.total[..., None])
        steps = {b - a for a, b in pairwise(shares.cuts)}
        if len(steps) == 1:
            high = high.unflatten(1, (-1, *steps)).amax(2)
        else:
            parts = (high[:, a:b] for a, b in pairwise(shares.cuts))
            zero = torch.zeros_like(high[:, 0])
            high = torch.stack([x.amax(1) if x.shape[1] else zero for x in parts], 1)
        to = self.block_peak[where, shares.first : shares.first + high.shape[1]]
        to = to[..., : high.shape[-1]]
        torch.maximum(to, high.to(to.dtype), out=to)

    def add_lags(self, layout: Layout, where: slice, rows: slice, tile: Tile, a: Tensor) -> None:
        """Sums along diagonals: a view whose rows are one entry longer turns them into columns."""
        n, r, c = a.shape
        ahead = layout.row(rows.start) - layout.key(tile.keys.start)
        if not layout.even:
            lag = layout.rows[rows][:, None] - layout.keys[tile.keys]
            self.lags[where].index_add_(1, lag.clamp_min(0).flatten(), a.flatten(1).double())
            return
        padded = F.pad(a, (r - 1, r - 1))
        width = padded.shape[-1]
        skewed = padded.as_strided((n, r, c + r - 1), (r * width, width + 1, 1))
        sums = skewed.sum(1).flip(-1)
        low = ahead - c + 1  # the lag of the first sum; below 0 nothing is seen
        self.lags[where, max(0, low) : ahead + r].add_(sums[:, max(0, -low) :])


def product(u: Float[Tensor, "N I R"], p: Float[Tensor, "N R C"]) -> Float[Tensor, "N I C"]:
    """u @ p; a batched product with one column is ten times slower than it need be."""
    if p.shape[-1] == 1:
        return (u * p.mT).sum(-1, keepdim=True)
    return torch.bmm(u, p)
