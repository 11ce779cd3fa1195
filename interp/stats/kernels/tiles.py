"""Which tiles each program of a pass goes over: visible to all of them, to some, or to none.

Everything comes from positions, so sampled queries, parts of the keys, windows, sinks and padding
are one case. Tile numbers are int32, since a program needs a handful of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from models.forms import Dots

FAR = 1 << 62  # later than any position


@dataclass(frozen=True, eq=False)
class Tiles:
    """Runs of neighbouring tokens, each at most a kernel block long and inside one cell."""

    first: Int[Tensor, " N"]  # index, not position
    end: Int[Tensor, " N"]
    cell: Int[Tensor, " N"]  # block of the heat map that the tile lies in

    @property
    def table(self) -> Int[Tensor, "N 3"]:
        """As the column pass reads it."""
        return torch.stack([self.first, self.end, self.cell], -1).int().contiguous()


def cut(positions: Int[Tensor, " T"], length: int, side: int) -> Tiles:
    """Tokens at rising positions in tiles of at most `length`, none across a multiple of `side`.

    With side 0 there is one cell.
    """
    n = len(positions)
    cells = int(positions[-1]) // side + 1 if side else 1
    edges = torch.arange(cells + 1, device=positions.device) * (side or FAR)
    bounds = torch.searchsorted(positions.contiguous(), edges)
    bounds[-1] = n
    count = -(bounds[1:] - bounds[:-1]).div(-length, rounding_mode="floor")
    cell = torch.arange(cells, device=positions.device).repeat_interleave(count)
    nth = torch.arange(len(cell), device=cell.device) - (count.cumsum(0) - count)[cell]
    first = bounds[cell] + nth * length
    return Tiles(first=first, end=torch.minimum(first + length, bounds[cell + 1]), cell=cell)


def row_tiles(dots: Dots, rows: int, columns: int) -> Int[Tensor, "B N 8"]:
    """Key tiles of every query block: [from, to) of those in full sight, then three runs in part.

    The three are those with sinks outside the window, before and after the ones in full sight.
    """
    at, keys = dots.rows, dots.keys.contiguous()
    blocks = torch.arange(0, len(at), rows, device=at.device)
    r0, r1 = at[blocks], at[(blocks + rows - 1).clamp_max(len(at) - 1)]
    start = starts(dots)[:, None]
    first = torch.arange(0, len(keys), columns, device=at.device)
    # A last tile that is short counts as longer than it is, so it is never seen in full.
    end = first + columns
    back = FAR if dots.window is None else dots.window - 1
    full = spans(keys, torch.maximum(r1 - back, start), r0)
    part = spans(keys, torch.maximum(r0 - back, start), r1)
    a, b, c, d = runs(full, part, first, end)
    s = upto = torch.zeros_like(a)
    if dots.window is not None and dots.sinks:
        low, high = spans(keys, start, torch.clamp_max(r1, dots.sinks - 1))
        upto = torch.minimum(torch.searchsorted(first, high), torch.where(a < d, a, FAR))
        s = torch.minimum(low.div(columns, rounding_mode="floor"), upto)
    return torch.stack([b, c, s, upto, a, b, c, d], -1).int().contiguous()


def column_tiles(dots: Dots, keys: Tiles, queries: Tiles) -> Int[Tensor, "B N 4"]:
    """Query tiles of every key tile: in part from [0] to [1], in full to [2], in part to [3]."""
    at, rows = dots.keys, dots.rows.contiguous()
    p0, p1 = at[keys.first], at[keys.end - 1]
    start = starts(dots)[:, None]
    back = FAR if dots.window is None else dots.window - 1
    last = torch.where(p1 < dots.sinks, FAR, p0 + back)
    last_part = torch.where(p0 < dots.sinks, FAR, p1 + back)
    full = spans(rows, p1, torch.where(p0 >= start, last, -1))
    part = spans(rows, p0, torch.where(p1 >= start, last_part, -1))
    return torch.stack(runs(full, part, queries.first, queries.end), -1).int().contiguous()


def starts(dots: Dots) -> Int[Tensor, " B"]:
    """Position of each sequence's first key."""
    if dots.start is not None:
        return dots.start.long()
    return torch.zeros(len(dots.q), dtype=torch.long, device=dots.q.device)


def spans(
    positions: Int[Tensor, " T"], low: Int[Tensor, "*n"], high: Int[Tensor, "*m"]
) -> tuple[Tensor, Tensor]:
    """Indices [from, to) of the positions with low <= position <= high."""
    low, high = torch.broadcast_tensors(low, high)
    before = torch.searchsorted(positions, low.contiguous())
    return before, torch.searchsorted(positions, high.contiguous(), right=True).clamp_min(before)


def runs(
    full: tuple[Tensor, Tensor], part: tuple[Tensor, Tensor], first: Tensor, end: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Edges a <= b <= c <= d of tiles: those that touch `part`, and inside them those in `full`."""
    touched = part[0] < part[1]
    a = torch.searchsorted(end, part[0], right=True)
    d = torch.where(touched, torch.searchsorted(first, part[1]), a).clamp_min(a)
    b = torch.searchsorted(first, full[0]).clamp(a, d)
    c = torch.searchsorted(end, full[1], right=True).clamp(b, d)
    return a, b, c, d


def visible(dots: Dots) -> Int[Tensor, "#B T"]:
    """How many keys each query may read."""
    at, keys = dots.rows, dots.keys.contiguous()
    start = starts(dots)[:, None] if dots.start is not None else torch.zeros_like(at[:1])[None]
    back = FAR if dots.window is None else dots.window - 1
    low, high = spans(keys, torch.maximum(at - back, start), at[None])
    seen = high - low
    if dots.window is not None and dots.sinks:
        early, late = spans(keys, start, torch.clamp_max(at, dots.sinks - 1)[None])
        seen = seen + (torch.minimum(late, low) - early).clamp_min(0)
    return seen
