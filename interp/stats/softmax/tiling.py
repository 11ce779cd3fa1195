"""Which tiles of a causal matrix there are to visit, and which of their entries are hidden."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.forms import Dots


@dataclass(frozen=True)
class Size:
    """What is computed in one go; chosen so that a tile's scores stay in a core's L2 cache."""

    rows: int
    keys: int
    heads: int


@dataclass(frozen=True)
class Tile:
    """Some keys, by index, before some rows."""

    keys: slice
    apart: int  # leading columns whose keys are told apart
    edges: tuple[slice, ...]  # columns that not every row sees
    late: int  # from this column on, keys lie behind the first row

    @property
    def width(self) -> int:
        """Number of keys."""
        return self.keys.stop - self.keys.start

    @property
    def empty(self) -> tuple[slice, ...]:
        """Columns that hold minus infinity while the keys told apart are left out."""
        return (slice(0, self.apart), *self.edges) if self.apart else self.edges

    def leading(self) -> "Tile":
        """The keys told apart."""
        end = self.keys.start + self.apart
        edges = (slice(x.start, min(x.stop, self.apart)) for x in self.edges)
        edges = tuple(x for x in edges if x.start < x.stop)
        return Tile(slice(self.keys.start, end), 0, edges, min(self.late, self.apart))


@dataclass(frozen=True, eq=False)
class Layout:
    """Where queries and keys stand, and who sees whom."""

    rows: Int[Tensor, " T"]  # positions
    keys: Int[Tensor, " S"]
    window: int | None
    sinks: int
    start: Int[Tensor, " N"] | None  # per slice of batch and head
    even: bool  # rows and keys are neighbours without gaps
    origin: tuple[int, int]  # position of the first row and key
    ramp: Float[Tensor, " W"]  # S-1, ..., 1, 0, then zeros
    forward: Float[Tensor, " T"]  # 0, 1, ...
    masks: dict[tuple, Tensor] = field(default_factory=dict)  # of even layouts: they repeat

    @staticmethod
    def of(dots: Dots, kind: torch.dtype) -> "Layout":
        """The layout of every head."""
        rows, keys, heads = dots.rows, dots.keys, dots.q.shape[1]
        steps = (int(x[-1] - x[0]) + 1 == x.shape[0] for x in (rows, keys))
        start = None if dots.start is None else dots.start.repeat_interleave(heads)
        origin, n = (int(rows[0]), int(keys[0])), keys.shape[0]
        device = dots.q.device
        ramp = torch.arange(n - 1, -n - 1, -1, device=device).clamp_min_(0).to(kind)
        forward = torch.arange(rows.shape[0], device=device).to(kind)
        return Layout(rows, keys, dots.window, dots.sinks, start, all(steps), origin, ramp, forward)

    def row(self, at: int) -> int:
        """Position of a row."""
        return self.origin[0] + at if self.even else int(self.rows[at])

    def key(self, at: int) -> int:
        """Position of a key."""
        return self.origin[1] + at if self.even else int(self.keys[at])

    def before(self, position: int) -> int:
        """How many keys stand before a position."""
        if self.even:
            return min(max(position - self.origin[1], 0), self.keys.shape[0])
        return int(torch.searchsorted(self.keys, position))

    def steps(self, rows: slice) -> Float[Tensor, " R"]:
        """How many tokens rows stand after the first of them."""
        if self.even:
            return self.forward[: rows.stop - rows.start]
        return (self.rows[rows] - self.rows[rows.start]).to(self.ramp.dtype)

    def behind(self, row: int, keys: slice) -> Float[Tensor, " C"]:
        """How many tokens keys lie behind a row; 0 where they lie ahead."""
        if self.even:
            shift = self.keys.shape[0] - 1 - self.row(row) + self.origin[1]
            if shift >= 0:
                return self.ramp[keys.start + shift : keys.stop + shift]
        return (self.row(row) - self.keys[keys]).clamp_min(0).to(self.ramp.dtype)

    def visible(self) -> Int[Tensor, "#N T"]:
        """How many keys each row sees."""
        ends = torch.searchsorted(self.keys, self.rows, right=True)[None]
        first = torch.zeros_like(ends[:, :1])
        if self.start is not None:
            first = torch.searchsorted(self.keys, self.start)[:, None]
        if self.window is None:
            return (ends - first).clamp_min(0)
        sinks = ends.clamp_max(self.before(self.sinks))
        near = torch.searchsorted(self.keys, self.rows - self.window, right=True)
        near = torch.maximum(near, torch.maximum(first, sinks))
        return (sinks - first).clamp_min(0) + (ends - near).clamp_min(0)

    def tiles(self, rows: slice, slices: slice, cut: int, size: Size) -> Iterator[Tile]:
        """Tiles that cover every key that some of the rows see, in rising order."""
        top, bottom = self.row(rows.start), self.row(rows.stop - 1)
        start = None if self.start is None else self.start[slices]
        first = 0 if start is None else self.before(int(start.min()))
        padded = 0 if start is None else self.before(int(start.max()))
        late, end = self.before(top + 1), self.before(bottom + 1)
        spans, gone, sunk = [(first, end)], 0, 0
        if self.window is not None:
            sunk = min(self.before(self.sinks), end)
            near = max(self.before(top - self.window + 1), sunk, first)
            spans, gone = [(first, sunk), (near, end)], self.before(bottom - self.window + 1)
        for a, b in (part for span in spans for part in split(*span, size.keys)):
            edges = ((a, padded), (max(a, late), b), (max(a, sunk), gone))
            yield Tile(
                slice(a, b),
                min(max(0, cut - a), b - a),
                tuple(slice(x - a, min(y, b) - a) for x, y in edges if x < min(y, b)),
                min(max(late - a, 0), b - a),
            )

    def veil(self, rows: slice, keys: slice, slices: slice) -> Float[Tensor, "#n R C"]:
        """Minus infinity where a row does not see a key, else 0."""
        # Distance to the rows and which side of the sinks: all that a mask of even rows depends on.
        sink = self.window is not None and self.key(keys.start) < self.sinks
        shape = (rows.stop - rows.start, keys.stop - keys.start)
        name = (*shape, self.row(rows.start) - self.key(keys.start), sink)
        if self.even and self.start is None and name in self.masks:
            return self.masks[name]
        lag = self.rows[rows][:, None] - self.keys[keys]
        hidden = (lag < 0)[None]
        if self.window is not None:
            hidden = hidden | ((lag >= self.window) & (self.keys[keys] >= self.sinks))
        if self.start is not None:
            hidden = hidden | (self.keys[keys] < self.start[slices][:, None, None])
        veil = self.ramp.new_zeros(()).masked_fill(hidden, -torch.inf)
        if self.even and self.start is None:
            self.masks[name] = veil
        return veil

    def members(self, cuts: tuple[int, ...]) -> Float[Tensor, "I R"]:
        """1 where a row, counted from the first of some, lies between two cuts, else 0."""
        name = ("members", *cuts)
        if name not in self.masks:
            row, ends = torch.arange(cuts[-1]), torch.tensor(cuts)[:, None]
            self.masks[name] = ((row >= ends[:-1]) & (row < ends[1:])).to(self.ramp)
        return self.masks[name]

    def lags(self, rows: slice, keys: slice) -> Float[Tensor, "R C"]:
        """How many tokens keys lie behind rows; 0 where they lie ahead."""
        name = ("lags", rows.stop - rows.start, keys.stop - keys.start)
        name += (self.row(rows.start) - self.key(keys.start),)
        if self.even and name in self.masks:
            return self.masks[name]
        lag = (self.rows[rows][:, None] - self.keys[keys]).clamp_min(0).to(self.ramp.dtype)
        if self.even:
            self.masks[name] = lag
        return lag


def split(a: int, b: int, width: int) -> Iterator[tuple[int, int]]:
    """Parts of [a, b) with borders at multiples of `width`."""
    while a < b:
        end = min(b, (a // width + 1) * width)
        yield a, end
        a = end
