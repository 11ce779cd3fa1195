"""One pass over the tiles of some heads: row sums tile by tile, then what needs the final sums."""

from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.row_state import RowState
from interp.stats.softmax.heads import LN2, Heads
from interp.stats.softmax.strip_sums import NO_SHARES, Shares, Strip
from interp.stats.softmax.tiling import Layout, Size, Tile
from interp.stats.wanted import Wanted

LEAST = -200.0  # exp2 of it is 0 in float32; a product with it is no NaN
GROUP = 32  # keys that one maximum stands for while the largest are looked for


@dataclass(frozen=True, eq=False)
class Parts:
    """Row sums of single tiles of a few row blocks, merged together to save small operations."""

    names: tuple[str, ...]  # of the sums: m first, then l
    sums: Float[Tensor, "blocks slots sums N R"]
    used: list[int] = field(default_factory=list)  # slots per row block

    @staticmethod
    def empty(names: tuple[str, ...], shape: tuple[int, int, int, int], like: Tensor) -> "Parts":
        """No sums yet."""
        parts = Parts(names, like.new_empty(*shape[:2], len(names), *shape[2:]))
        parts.clear()
        return parts

    def clear(self) -> None:
        """Nothing seen yet."""
        self.sums.zero_()[:, :, 0] = -torch.inf
        self.used.clear()

    def take(self, rows: int) -> dict[str, Float[Tensor, "N R"]]:
        """Where the next tile of the last row block writes its sums."""
        place = self.sums[len(self.used) - 1, self.used[-1], :, :, :rows]
        self.used[-1] += 1
        return dict(zip(self.names, place.unbind(0), strict=True))

    def last(self, rows: int) -> tuple[Tensor, Tensor]:
        """m and l of every tile of the last row block, each `[slots, N, R]`."""
        place = self.sums[len(self.used) - 1, : self.used[-1], :2, :, :rows]
        return place.unbind(1)

    def merged(self) -> RowState:
        """The state of all rows so far, `[N, blocks · R]`, in float64 and nats; then forget."""
        slots = max(1, *self.used)
        sums = self.sums[: len(self.used), :slots].double().unbind(2)
        state = RowState(**dict(zip(self.names, sums, strict=True)))
        state.m.mul_(LN2)
        if state.e is not None:
            state.e.mul_(LN2)
        m = state.m.amax(1, keepdim=True)
        if slots > 1:
            state = state.on(m.expand_as(state.m))
        merged = {name: getattr(state, name).sum(1) for name in self.names[1:]} | {"m": m[:, 0]}
        self.clear()
        return RowState(**{name: x.transpose(0, 1).flatten(1) for name, x in merged.items()})


@dataclass(frozen=True, eq=False)
class Out:
    """Where all heads' results are written, in float64."""

    apart: RowState | None  # "heads T"
    rest: RowState
    strip: Strip
    top_keys: Int[Tensor, "heads T K"]
    top_logits: Float[Tensor, "heads T K"]  # in units of ln 2


@dataclass(frozen=True, eq=False)
class Pass:
    """Some heads' rows over all keys."""

    heads: Heads
    layout: Layout
    wanted: Wanted
    out: Out
    size: Size
    buffers: list[Tensor] = field(default_factory=list)  # scores, then weights of each tile

    def run(self) -> tuple[RowState | None, RowState]:
        """All row blocks; the states of all rows, `[N, T]`: of the keys told apart, of the rest."""
        n, t = self.heads.q.shape[:2]
        cut = self.layout.before(self.wanted.apart)
        # The keys in sight of a window start anew within a tile: one slot more.
        few, slots = (-(-end // self.size.keys) + 1 for end in (cut, self.layout.keys.shape[0]))
        blocks = -(-t // self.size.rows)
        at_once = max(1, min(blocks, 2**17 // (slots * n * self.size.rows)))

        def empty(slots: int) -> Parts:
            shape = (at_once, slots, n, self.size.rows)
            return Parts.empty(self.names, shape, self.heads.k)

        parts = [empty(few), empty(slots)] if self.wanted.apart else [empty(slots)]
        states = [[] for _ in parts]
        for block in range(blocks):
            rows = slice(block * self.size.rows, min(t, (block + 1) * self.size.rows))
            self.rows(rows, cut, parts)
            if block == blocks - 1 or len(parts[-1].used) == at_once:
                for part, known in zip(parts, states, strict=True):
                    known.append(part.merged())
        found = [joined(known, t) for known in states]
        return (found[0] if self.wanted.apart else None), found[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """The sums to take of every tile."""
        w = self.wanted
        optional = {"e": w.entropy, "z": w.square, "d": w.distance, "f": w.valued}
        return "m", "l", *(name for name, on in optional.items() if on)

    def rows(self, rows: slice, cut: int, parts: list[Parts]) -> None:
        """One block of rows, tile by tile."""
        q = self.heads.queries(rows)
        n, r = self.heads.q.shape[0], rows.stop - rows.start
        strip, leaders = self.out.strip.wanted, self.out.top_keys.shape[-1]
        shares = Shares.of(self.layout, rows, self.wanted, n) if strip else NO_SHARES
        for part in parts:
            part.used.append(0)
        few, tiles, found = [], [], []
        for tile in self.layout.tiles(rows, self.heads.where, cut, self.size):
            s = self.buffer(0)[: n * r * tile.width].view(n, r, tile.width)
            self.heads.scores(q, rows, tile.keys, s)
            self.hide(s, tile, rows)
            if leaders:
                found.append(largest(s, leaders, self.layout.keys[tile.keys]))
            if tile.apart:
                first, x = tile.leading(), s[..., : tile.apart].clone()
                few.append((first, torch.empty_like(x)))
                self.tile(x, few[-1][1], first, rows, parts[0].take(r), shares)
                s[..., : tile.apart] = -torch.inf
            if tile.apart < tile.width:
                p = self.buffer(1 + len(tiles) if strip else 1)[: s.numel()].view_as(s)
                self.tile(s, p, tile, rows, parts[-1].take(r), shares)
                tiles.append((tile, p))
        if found:
            self.lead(found, rows, leaders)
        if strip and (few or tiles):
            m, l = (torch.cat(x) for x in zip(*(part.last(r) for part in parts), strict=True))
            sink = None if self.heads.sink is None else self.heads.sink[:, rows]
            weighed = shares.weighed(m, l, sink)
            self.out.strip.add(self.layout, self.heads.where, rows, weighed, few + tiles)

    def buffer(self, at: int) -> Tensor:
        """Room for one tile; kept, because memory of this size goes back to the system at once."""
        area = self.heads.q.shape[0] * self.size.rows * self.size.keys
        while len(self.buffers) <= at:
            self.buffers.append(self.heads.k.new_empty(area))
        return self.buffers[at]

    def hide(self, s: Float[Tensor, "N R C"], tile: Tile, rows: slice) -> None:
        """Minus infinity at keys that a row does not see."""
        for edge in tile.edges:
            keys = slice(tile.keys.start + edge.start, tile.keys.start + edge.stop)
            s[..., edge].add_(self.layout.veil(rows, keys, self.heads.where))

    def tile(
        self,
        s: Float[Tensor, "N R C"],
        p: Float[Tensor, "N R C"],
        tile: Tile,
        rows: slice,
        sums: dict[str, Float[Tensor, "N R"]],
        shares: Shares,
    ) -> None:
        """Sums of one tile relative to its own largest logit; p holds the weights afterwards."""
        m = shares.peaks(self.layout, s, tile, sums["m"])
        if tile.empty:
            m = m.clamp_min(torch.finfo(m.dtype).min)
        s.sub_(m[..., None])
        torch.exp2(s, out=p)
        torch.sum(p, -1, out=sums["l"])
        if "e" in sums:
            for edge in tile.empty:
                s[..., edge].clamp_min_(LEAST)
            torch.sum(s.mul_(p), -1, out=sums["e"])
        if "z" in sums:
            torch.sum(torch.mul(p, p, out=s), -1, out=sums["z"])
        if "d" in sums:
            self.distances(p, tile, rows, sums)
        if "f" in sums:
            sums["f"].copy_(per_slice(p, self.heads.norms[:, tile.keys]))

    def distances(self, p: Tensor, tile: Tile, rows: slice, sums: dict[str, Tensor]) -> None:
        """Σ p · (i - j) as a sum of terms that are never negative, so that nothing cancels."""
        behind, mass = self.layout.behind(rows.start, tile.keys), sums["l"]
        far = torch.mv(p.view(-1, tile.width), behind).view_as(mass)
        if tile.late < tile.width:
            mass = p[..., : tile.late].sum(-1)
            keys = slice(tile.keys.start + tile.late, tile.keys.stop)
            far += (p[..., tile.late :] * self.layout.lags(rows, keys)).sum(-1)
        torch.addcmul(far, mass, self.layout.steps(rows), out=sums["d"])

    def lead(self, found: list[tuple[Tensor, Tensor]], rows: slice, leaders: int) -> None:
        """The largest of all tiles' largest and of those known before."""
        to = self.out.top_logits[self.heads.where, rows], self.out.top_keys[self.heads.where, rows]
        logits = torch.cat([to[0], *(x.double() for x, _ in found)], -1)
        logits, at = logits.topk(leaders, -1)
        to[0].copy_(logits)
        to[1].copy_(torch.cat([to[1], *(keys for _, keys in found)], -1).gather(-1, at))


def per_slice(p: Float[Tensor, "N R C"], x: Float[Tensor, "N C"]) -> Float[Tensor, "N R"]:
    """p @ x slice by slice: a batched product with one column is ten times slower."""
    return torch.stack([a @ b for a, b in zip(p, x, strict=True)])


def largest(
    s: Float[Tensor, "N R C"], n: int, keys: Int[Tensor, " C"]
) -> tuple[Float[Tensor, "N R n"], Int[Tensor, "N R n"]]:
    """The n largest of each row and their keys, from the groups with the n largest maxima."""
    full = s.shape[-1] // GROUP
    if full <= n:
        found, best = s.topk(min(n, s.shape[-1]), -1)
        return found, keys[best]
    groups = s[..., : full * GROUP].unflatten(-1, (full, GROUP))
    best = groups.amax(-1).topk(n, -1).indices[..., None]
    found = groups.gather(-2, best.expand(*best.shape[:-1], GROUP)).flatten(-2)
    at = (best * GROUP + torch.arange(GROUP, device=s.device)).flatten(-2)
    tail = torch.arange(full * GROUP, s.shape[-1], device=s.device).expand(*s.shape[:-1], -1)
    found, at = torch.cat([found, s[..., full * GROUP :]], -1), torch.cat([at, tail], -1)
    found, best = found.topk(n, -1)
    return found, keys[at.gather(-1, best)]


def joined(states: list[RowState], rows: int) -> RowState:
    """States of one row block after the other as one; the last may hold rows that are not."""
    parts = {f.name: [getattr(x, f.name) for x in states] for f in fields(RowState)}
    return RowState(
        **{
            name: None if x[0] is None else torch.cat(x, -1)[..., :rows]
            for name, x in parts.items()
        }
    )
