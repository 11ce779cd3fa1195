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
    def of(layout: Layout, rows: slice, wanted: Wanted, q: Float[Tensor, "N R D"]) -> "Shares":
        """Nothing seen yet."""
        n, count = q.shape[:2]
        if not wanted.block:
            return Shares(0, 0, (0, count), None)
        side, top, bottom = wanted.block, layout.row(rows.start), layout.row(rows.stop - 1)
        first, last = top // side, bottom // side
        if layout.even:
            cuts = [0, *(block * side - top for block in range(first + 1, last + 1)), count]
        else:
            at = torch.arange(first, last + 2) * side
            cuts = torch.searchsorted(layout.rows[rows], at).tolist()
        seen = max(layout.before(bottom + 1), 1)
        shape = (n, count, layout.key(seen - 1) // side + 1)
        return Shares(side, first, tuple(cuts), q.new_full(shape, -torch.inf))

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
        more: list[tuple[Float[Tensor, "N R"], Float[Tensor, "N R"]]],
    ) -> Weighed:
        """The factors of all tiles from their maxima and sums; `more` is in the denominator too."""
        top = m.amax(0)
        for other, _ in more:
            top = torch.maximum(top, other)
        top = top.clamp_min(torch.finfo(top.dtype).min)
        factors = (m - top).exp2_()
        total = (factors * l).sum(0)
        for other, mass in more:
            total += (other - top).exp2_() * mass
        total.clamp_min_(torch.finfo(total.dtype).tiny)
        return Weighed(factors / total, top, total, self)


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

    @staticmethod
    def zeros(layout: Layout, wanted: Wanted, heads: int) -> "Strip":
        """No row seen yet."""

        def zeros(on: object, *shape: int) -> Tensor | None:
            return torch.zeros(heads, *shape, dtype=torch.float64) if on else None

        last = layout.row(layout.rows.shape[0] - 1)
        side = max(1, wanted.block)
        blocks = (last // side + 1, layout.key(layout.keys.shape[0] - 1) // side + 1)
        return Strip(
            received=zeros(wanted.received, layout.keys.shape[0]),
            lags=zeros(wanted.lags, last + 1),
            block_sum=zeros(wanted.block, *blocks),
            block_peak=zeros(wanted.block, *blocks),
            blocks=layout.keys // side if wanted.block else None,
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
            self.add_columns(where, row, tiles)
        if self.lags is not None:
            for (tile, p), factor in zip(tiles, row.factors, strict=True):
                self.add_lags(layout, where, rows, tile, p * factor[..., None])
        if self.block_peak is not None:
            self.add_peaks(where, row)

    def add_columns(
        self, where: slice, row: Weighed, tiles: list[tuple[Tile, Float[Tensor, "N R _"]]]
    ) -> None:
        """Column sums, apart for every block row."""
        cuts = row.shares.cuts
        u = row.factors[:, :, None]
        if len(cuts) > 2:
            u = torch.zeros_like(u).repeat(1, 1, len(cuts) - 1, 1)
            for at, (a, b) in enumerate(pairwise(cuts)):
                u[:, :, at, a:b] = row.factors[..., a:b]
        columns = [torch.bmm(factor, p) for factor, (_, p) in zip(u, tiles, strict=True)]
        if self.received is not None:
            for (tile, _), sums in zip(tiles, columns, strict=True):
                self.received[where, tile.keys].add_(sums.sum(1))
        if self.block_sum is not None:
            to = self.block_sum[where, row.shares.first : row.shares.first + len(cuts) - 1]
            blocks = torch.cat([self.blocks[tile.keys] for tile, _ in tiles])
            to.index_add_(2, blocks, torch.cat(columns, -1).double())

    def add_peaks(self, where: slice, row: Weighed) -> None:
        """The largest weight of every block."""
        shares = row.shares
        high = (shares.maxima - row.top[..., None]).exp2_() / row.total[..., None]
        for at, (a, b) in enumerate(pairwise(shares.cuts)):
            to = self.block_peak[where, shares.first + at, : high.shape[-1]]
            if b > a:
                torch.maximum(to, high[:, a:b].amax(1).double(), out=to)

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
