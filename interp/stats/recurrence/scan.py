"""Scan: a linear recurrence in chunks, from which rows of its matrix are written out tile by tile.

A query that is carried back over a chunk, q G_end ... G_first, meets in the chunk before it keys
that are carried forward to that chunk's end. So a tile is one product, and the way to the next
chunk another. Within a chunk rows are carried back token by token, all chunks at once. Only decays
of at most 1 are multiplied, never divided by: nothing overflows and no long sums are subtracted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.attention.contract import repeat_groups
from models.forms import Recurrence
from models.kernels.linear import CHUNK, chunks

STRIP = 8  # chunks that rows past them meet in one product
HELD = 2**19  # numbers that chunks carry back at once, so that they stay in cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """A matrix in chunks of L tokens, a column per token; h query heads share the keys of a group.

    A_ij = q_i · through[c - 1] ... through[d + 1] · k_j for i in chunk c and j in chunk d < c, and
    `near` within a chunk. `through` is a matrix, or one row that scales the channels.
    """

    tokens: int
    q: Float[Tensor, "B G C L h F"]  # carried back to the start of their chunk
    k: Float[Tensor, "B G C L F"]  # carried on to the end of their chunk
    through: Float[Tensor, "B G C X F"]
    near: Float[Tensor, "B G C L h L"]

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.q.shape[1] * self.q.shape[4]

    @property
    def nbytes(self) -> int:
        """Bytes held: O(n · (F + L)) per head."""
        return sum(x.nbytes for x in (self.q, self.k, self.through, self.near))

    def head(self, at: int) -> "Scan":
        """One query head's."""
        group, within = divmod(at, self.q.shape[4])
        g, h = slice(group, group + 1), slice(within, within + 1)
        return replace(
            self,
            q=self.q[:, g, :, :, h],
            k=self.k[:, g],
            through=self.through[:, g],
            near=self.near[:, g, :, :, h],
        )

    def strips(self) -> "Strips":
        """Ready to write out rows."""
        keys, through = [], []
        for low in range(0, self.k.shape[2], STRIP):
            carried, past = [], None
            for c in reversed(range(low, min(low + STRIP, self.k.shape[2]))):
                k, step = self.k[:, :, c], self.through[:, :, c]
                carried.append(k if past is None else forward(k, past))
                past = step if past is None else back(past, step)
            keys.append(torch.cat(carried[::-1], 2).mT.contiguous())
            through.append(past)
        return Strips(scan=self, keys=keys, through=through)


@dataclass(frozen=True, kw_only=True, eq=False)
class Strips:
    """A scan and the keys of every STRIP chunks carried on to the end of those."""

    scan: Scan
    keys: list[Float[Tensor, "B G F _"]]
    through: list[Float[Tensor, "B G X F"]]

    def tiles(
        self, rows: Int[Tensor, " R"], first: int = 0
    ) -> Iterator[tuple[slice, Float[Tensor, "B H R W"]]]:
        """Keys and those rows of their columns, from the last keys that rows see to key `first`.

        `rows` rise. Zeros stand at keys that a row does not see.
        """
        s, size = self.scan, CHUNK * STRIP
        carried = s.q.flatten(2, 3)[:, :, rows].flatten(2, 3)
        low, last = int(rows[0]) // CHUNK, int(rows[-1])
        for strip in reversed(range(first // size, last // size + 1)):
            if low >= (strip + 1) * STRIP:
                tile = carried @ self.keys[strip]
                carried = back(carried, self.through[strip])
            else:
                tile, carried = self.edge(strip, rows, carried)
            stop = min((strip + 1) * size, s.tokens)
            tile = tile.unflatten(2, (len(rows), -1)).transpose(2, 3).flatten(1, 2)
            yield slice(strip * size, stop), tile[..., : stop - strip * size]

    def edge(
        self, strip: int, rows: Int[Tensor, " R"], carried: Float[Tensor, "B G Rh F"]
    ) -> tuple[Float[Tensor, "B G Rh W"], Float[Tensor, "B G Rh F"]]:
        """The tile of a strip that some of the rows lie in or before, and the rows on their way."""
        s, h = self.scan, self.scan.q.shape[4]
        tile = carried.new_zeros(*carried.shape[:3], self.keys[strip].shape[-1])
        starts = torch.searchsorted(rows, CHUNK * torch.arange(s.k.shape[2] + 1)).tolist()
        carried = carried.clone()
        for c in reversed(range(strip * STRIP, min((strip + 1) * STRIP, s.k.shape[2]))):
            at = CHUNK * (c - strip * STRIP)
            here, past = slice(h * starts[c], h * starts[c + 1]), slice(h * starts[c + 1], None)
            inside = rows[starts[c] : starts[c + 1]] - CHUNK * c
            tile[:, :, here, at : at + CHUNK] = s.near[:, :, c, inside].flatten(2, 3)
            tile[:, :, past, at : at + CHUNK] = carried[:, :, past] @ s.k[:, :, c].mT
            carried[:, :, past] = back(carried[:, :, past], s.through[:, :, c])
        return tile, carried


def back(
    rows: Float[Tensor, "*#n R F"], through: Float[Tensor, "*#n X F"]
) -> Float[Tensor, "*#n R F"]:
    """Rows carried back over what `through` stands for."""
    return rows * through if through.shape[-2] == 1 else rows @ through


def forward(
    keys: Float[Tensor, "*#n R F"], through: Float[Tensor, "*#n X F"]
) -> Float[Tensor, "*#n R F"]:
    """Keys carried on over what `through` stands for."""
    return keys * through if through.shape[-2] == 1 else keys @ through.mT


@dataclass(frozen=True)
class Steps:
    """Chunks of a recurrence side by side, r keys per token: how each token moves the memory."""

    fade: Float[Tensor, "N L r X"] | None
    a: Float[Tensor, "N L r F"] | None
    b: Float[Tensor, "N L r F"] | None

    def part(self, where: slice) -> "Steps":
        """Some chunks."""
        return Steps(*(None if x is None else x[where] for x in (self.fade, self.a, self.b)))

    def written(self, k: Float[Tensor, "N L r F"]) -> Float[Tensor, "N L F"]:
        """What a token's keys have become after its last one, added up: its column is theirs."""
        total = k[:, :, 0]
        for s in range(1, k.shape[2]):
            found = total if self.fade is None else self.fade[:, :, s] * total
            if self.a is not None:
                found = found + self.b[:, :, s] * (self.a[:, :, s] * total).sum(-1, keepdim=True)
            total = found + k[:, :, s]
        return total

    def back_(self, rows: Float[Tensor, "N R F"], t: int) -> None:
        """Carries rows back over token t, in place."""
        for s in reversed(range(0 if self.r is None else self.r)):
            read = None if self.b is None else (self.b[:, t, s, None] @ rows.mT).mT
            if self.fade is not None:
                rows.mul_(self.fade[:, t, s, None])
            if read is not None:
                rows.addcmul_(read, self.a[:, t, s, None])

    @property
    def r(self) -> int | None:
        """Keys per token; None: nothing moves the memory."""
        some = self.fade if self.a is None else self.a
        return None if some is None else some.shape[2]


def scan(r: Recurrence) -> Scan:
    """The recurrence in chunks: O(T · F · (F + L)) work with a low rank part, else O(T · F · L)."""
    dtype = torch.promote_types(r.q.dtype, torch.float32)
    t, batch = r.q.shape[2], len(r.q)
    groups = r.k.shape[1] if r.g is None else max(r.k.shape[1], r.g.shape[1])
    per = r.k.shape[2] // t

    def cut(x: Tensor | None, per: int) -> Tensor | None:
        if x is None:
            return None
        x = repeat_groups(x.to(dtype), groups).expand(batch, -1, -1, -1).unflatten(2, (t, per))
        return chunks(x).flatten(0, 2)

    g, a, b = (cut(x, per) for x in (r.g, r.a, r.b))
    steps = Steps(None if g is None else g.exp(), a, b)
    own = None if r.own is None else side_by_side(r.own[..., None].to(dtype), groups)[..., 0]
    parts = (side_by_side(r.q.to(dtype), groups), steps.written(cut(r.k, per)), steps, own)
    found = by_parts(*parts)
    q, k, through, near = (x.unflatten(0, (batch, groups, -1)) for x in found)
    return Scan(tokens=t, q=q, k=k, through=through, near=near)


def side_by_side(x: Float[Tensor, "B H T F"], groups: int) -> Float[Tensor, "N L h F"]:
    """Chunks of all sequences and groups as one axis; the heads of a group next to each other."""
    return chunks(x.unflatten(1, (groups, -1)).transpose(2, 3).flatten(0, 1)[None])[0].flatten(0, 1)


def by_parts(
    q: Float[Tensor, "N L h F"],
    k: Float[Tensor, "N L F"],
    steps: Steps,
    own: Float[Tensor, "N L h"] | None,
) -> list[Tensor]:
    """`within_chunks`, so many chunks at a time that what they carry fits in cache."""
    width = q.shape[3] * (q.shape[1] * q.shape[2] + (0 if steps.a is None else q.shape[3]))
    n = max(1, HELD // width)
    found = []
    for low in range(0, len(q), n):
        where = slice(low, low + n)
        mine = None if own is None else own[where]
        found.append(within_chunks(q[where], k[where], steps.part(where), mine))
    return [torch.cat(x) for x in zip(*found, strict=True)]


def within_chunks(
    q: Float[Tensor, "N L h F"],
    k: Float[Tensor, "N L F"],
    steps: Steps,
    own: Float[Tensor, "N L h"] | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries at their chunk's start, keys at its end, what it does to a memory, and its matrix.

    Walks from the last token to the first. `carried` holds, first of all, what reads the memory at
    the chunk's end channel by channel, and then the queries, the last one first.
    """
    n, size, h, f = q.shape
    ends = torch.eye(f) if steps.a is not None else torch.ones(1, f)
    ends = ends.to(q).expand(n, -1, -1)
    e = ends.shape[1]
    carried = torch.cat([ends, q.flip(1).flatten(1, 2)], 1)
    until, near = torch.empty_like(k), q.new_zeros(n, size * h, size)
    for t in reversed(range(size)):
        mine = e + (size - t) * h
        ripe = mine if own is None else mine - h
        live = carried[:, :ripe]
        found = (k[:, t, None] @ live.mT)[:, 0]  # several times faster than live @ k
        until[:, t] = found[:, :e] if steps.a is not None else carried[:, 0] * k[:, t]
        near[:, : ripe - e, t] = found[:, e:]
        if own is not None:
            near[:, ripe - e : mine - e, t] = own[:, t]
        steps.back_(live, t)
    through, rows = carried.split([e, size * h], 1)
    rows = rows.unflatten(1, (size, h)).flip(1)
    return rows, until, through.clone(), near.unflatten(1, (size, h)).flip(1)
