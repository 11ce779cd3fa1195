"""Tally: statistics of a matrix that comes in tiles, in any order, signed or not."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.row_state import RowState
from interp.stats.wanted import Wanted


class Tally:
    """Adds up what `wanted` asks for from tiles of A itself; what no tile covers is zero.

    `shape` is batch, heads, rows. Rows stand at the positions `at` (0, 1, 2, ... unless given) and
    keys at 0 to n_keys - 1 (as many as rows unless given). No tile may come twice.
    """

    def __init__(
        self,
        wanted: Wanted,
        shape: tuple[int, int, int],
        norms: Float[Tensor, "B H S"] | None = None,
        *,
        at: Int[Tensor, " T"] | None = None,
        n_keys: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if wanted.valued and norms is None:
            raise ValueError("valued needs the norms of what each key writes; give norms")
        self.wanted, self.shape, self.dtype = wanted, shape, dtype
        self.norms = norms.to(dtype) if wanted.valued else None
        self.at = (torch.arange(shape[2]) if at is None else at).to(device)
        self.where = self.at.tolist()
        self.n_keys = shape[2] if n_keys is None else n_keys
        c, full = wanted, {"dtype": dtype, "device": device}
        b, h, t = shape
        self.first = nothing(c, torch.zeros(shape, **full)) if c.apart else None
        self.rest = nothing(c, torch.zeros(shape, **full))
        n = max(c.top, int(c.argmax))
        self.top_keys = torch.full((b, h, t, n), -1, device=device)
        self.top_weights = torch.zeros(b, h, t, n, **full)
        self.asked = single_keys(c, self.at)
        self.single = torch.zeros(b, h, t, self.asked.shape[-1], **full)
        last = max(self.where, default=-1)
        self.lags = torch.zeros(b, h, last + 1, **full) if c.lags else None
        self.received = torch.zeros(b, h, self.n_keys, **full) if c.received else None
        if c.block:
            grid = (b, h, last // c.block + 1, (self.n_keys - 1) // c.block + 1)
            self.block_sum, self.block_peak = torch.zeros(grid, **full), torch.zeros(grid, **full)

    def add(self, tile: Float[Tensor, "B H R C"], rows: slice, keys: slice) -> None:
        """One tile: rows by number (not position), keys by position; both ends are given."""
        tile, c = tile.to(self.dtype), self.wanted
        expected = (*self.shape[:2], rows.stop - rows.start, keys.stop - keys.start)
        if tuple(tile.shape) != expected:
            raise ValueError(
                f"a tile of rows {rows} and keys {keys} is {expected}, not {tile.shape}"
            )
        if 0 in expected:
            return
        self.add_rows(tile, rows, keys)
        if self.top_keys.shape[-1]:
            self.add_top(tile, rows, keys)
        if self.asked.shape[-1]:
            self.single[:, :, rows] += at_keys(tile, self.asked[:, rows] - keys.start)
        if c.received:
            self.received[..., keys] += tile.sum(-2)
        if c.lags:
            self.add_lags(tile, self.where[rows], keys)
        if c.block:
            self.add_blocks(tile, self.where[rows], keys)

    def add_rows(self, tile: Float[Tensor, "B H R C"], rows: slice, keys: slice) -> None:
        """Row sums, apart for the leading keys that are told apart."""
        split = min(max(self.wanted.apart - keys.start, 0), keys.stop - keys.start)
        lag = None
        if self.wanted.distance:
            places = torch.arange(keys.start, keys.stop, device=self.at.device)
            lag = (self.at[rows, None] - places).to(self.dtype)
        norms = None if self.norms is None else self.norms[..., keys]
        for total, part in ((self.first, slice(0, split)), (self.rest, slice(split, None))):
            if tile[..., part].shape[-1]:
                new = state_of(
                    tile[..., part],
                    self.wanted,
                    None if lag is None else lag[:, part],
                    None if norms is None else norms[..., part],
                )
                write(total, rows, total.rows(rows).merge(new))

    def add_top(self, tile: Float[Tensor, "B H R C"], rows: slice, keys: slice) -> None:
        """The strongest keys so far and those of this tile, the strongest of both."""
        n = self.top_keys.shape[-1]
        w = tile.abs()
        # topk of one is several times slower than max.
        high, at = w.max(-1, keepdim=True) if n == 1 else w.topk(min(n, w.shape[-1]), -1)
        found = torch.where(high > 0, at + keys.start, -1)
        found = torch.cat([self.top_keys[:, :, rows], found], -1)
        signed = torch.cat([self.top_weights[:, :, rows], tile.gather(-1, at)], -1)
        order = signed.abs().argsort(dim=-1, descending=True, stable=True)[..., :n]
        self.top_keys[:, :, rows] = found.gather(-1, order)
        self.top_weights[:, :, rows] = signed.gather(-1, order)

    def add_lags(self, tile: Float[Tensor, "B H R C"], where: list[int], keys: slice) -> None:
        """Diagonal sums, one stretch of rows after the other: no scatter, so in a fixed order."""
        for rows in unbroken(where):
            low = where[rows.start] - keys.stop + 1  # lag of the tile's upper right corner
            seen = diagonals(tile[:, :, rows])[..., max(0, -low) :]
            self.lags[..., max(0, low) : max(0, low) + seen.shape[-1]] += seen

    def add_blocks(self, tile: Float[Tensor, "B H R C"], where: list[int], keys: slice) -> None:
        """Sum and strongest entry of every block that the tile touches."""
        side = self.wanted.block
        before, first = keys.start % side, keys.start // side
        after = -keys.stop % side
        last = first + (tile.shape[-1] + before + after) // side
        grid = torch.nn.functional.pad(tile, (before, after)).unflatten(-1, (-1, side))
        sums, high, low = grid.sum(-1), grid.amax(-1), grid.amin(-1)
        for block, rows in runs(where, side):
            self.block_sum[..., block, first:last] += sums[..., rows, :].sum(-2)
            top, bottom = high[..., rows, :].amax(-2), low[..., rows, :].amin(-2)
            new, old = torch.where(top >= -bottom, top, bottom), self.block_peak[..., block, :]
            old = old[..., first:last]
            self.block_peak[..., block, first:last] = torch.where(new.abs() > old.abs(), new, old)

    def finalize(self, lse: Float[Tensor, "B H T"] | None = None) -> HeadStats:
        """The statistics of all tiles so far; `lse` where there is a softmax."""
        c = self.wanted
        every = self.rest if self.first is None else self.first.merge(self.rest)
        ends = [len(c.columns), len(c.offsets), self.single.shape[-1] - len(c.columns + c.offsets)]
        columns, offsets, targets = self.single.split(ends, -1)
        return HeadStats(
            visible=(self.at + 1).clamp_max(self.n_keys)[None],
            row_sum=every.total("r"),
            every=every.finalize(),
            rest=self.rest.finalize() if c.apart else None,
            lse=lse,
            distance=every.total("d") if c.distance else None,
            argmax=self.top_keys[..., 0] if c.argmax else None,
            top_keys=self.top_keys[..., : c.top] if c.top else None,
            top_weights=self.top_weights[..., : c.top] if c.top else None,
            columns=columns if c.columns else None,
            offsets=offsets if c.offsets else None,
            targets=None if c.targets is None else targets[..., 0],
            lags=self.lags,
            received=self.received,
            block_sum=self.block_sum if c.block else None,
            block_peak=self.block_peak if c.block else None,
            valued=every.total("f") if c.valued else None,
        )


def nothing(wanted: Wanted, zero: Float[Tensor, "*rows"]) -> RowState:
    """The state of rows of which no key was seen."""
    return RowState(
        m=zero - torch.inf,
        l=zero.clone(),
        e=zero.clone() if wanted.entropy else None,
        z=zero.clone() if wanted.square else None,
        d=zero.clone() if wanted.distance else None,
        f=zero.clone() if wanted.valued else None,
        r=zero.clone(),
    )


def state_of(
    a: Float[Tensor, "B H R C"],
    wanted: Wanted,
    lag: Float[Tensor, "R C"] | None,
    norms: Float[Tensor, "B H C"] | None,
) -> RowState:
    """The state of a tile of weights, from which `RowState.of` would take logarithms and back.

    d holds lags in place of positions: of long rows, i · Σw - Σ w j would be lost in rounding.
    """
    w = a.abs()
    top = w.amax(-1)
    unit = torch.where(top > 0, top, 1)
    p = w / unit[..., None]
    return RowState(
        m=top.log(),
        l=p.sum(-1),
        # xlogy takes twice as long, and loses nothing here: what is clamped adds nothing.
        e=p.clamp_min(torch.finfo(p.dtype).tiny).log_().mul_(p).sum(-1) if wanted.entropy else None,
        z=p.square().sum(-1) if wanted.square else None,
        d=None if lag is None else (p * lag).sum(-1),
        f=None if norms is None else (p @ norms[..., None])[..., 0],
        r=a.sum(-1) / unit,
    )


def write(total: RowState, rows: slice, new: RowState) -> None:
    """Put the state of some rows in its place."""
    for name, value in vars(new).items():
        if value is not None:
            getattr(total, name)[..., rows] = value


def single_keys(wanted: Wanted, at: Int[Tensor, " T"]) -> Int[Tensor, "#B T C"]:
    """Every key of whose weight rows are asked one by one: columns, offsets, targets."""
    columns = torch.tensor(wanted.columns, dtype=at.dtype, device=at.device).expand(len(at), -1)
    offsets = torch.tensor(wanted.offsets, dtype=at.dtype, device=at.device)
    fixed = torch.cat([columns, at[:, None] - offsets], -1)[None]
    if wanted.targets is None:
        return fixed
    targets = wanted.targets.to(at.device)[..., None]
    return torch.cat([fixed.expand(len(targets), -1, -1), targets], -1)


def at_keys(
    tile: Float[Tensor, "B H R C"], keys: Int[Tensor, "#B R K"]
) -> Float[Tensor, "B H R K"]:
    """Entries of a tile at some columns of each row; 0 where the column is not in the tile."""
    inside = (keys >= 0) & (keys < tile.shape[-1])
    keys = keys.clamp(0, tile.shape[-1] - 1)[:, None].expand(*tile.shape[:3], -1)
    return torch.where(inside[:, None], tile.gather(-1, keys), 0)


def diagonals(tile: Float[Tensor, "B H R C"]) -> Float[Tensor, "B H L"]:
    """Sums of a tile's R + C - 1 diagonals, from its upper right corner to its lower left one.

    Rows of C + R entries, read as rows of one less, lean by a column each.
    """
    r, c = tile.shape[-2:]
    leaning = torch.nn.functional.pad(tile.flip(-1), (0, r)).flatten(-2)
    return leaning[..., : r * (c + r - 1)].unflatten(-1, (r, c + r - 1)).sum(-2)


def runs(where: list[int], side: int) -> list[tuple[int, slice]]:
    """Which rows, given by rising positions, fall into which block of `side` tokens."""
    found, low = [], 0
    for high in range(1, len(where) + 1):
        if high == len(where) or where[high] // side != where[low] // side:
            found.append((where[low] // side, slice(low, high)))
            low = high
    return found


def unbroken(where: list[int]) -> list[slice]:
    """Stretches of rows that follow each other without a gap."""
    ahead = [i - number for number, i in enumerate(where)]  # the same for neighbours
    return [rows for _, rows in runs(ahead, 1)]
