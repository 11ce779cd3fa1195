"""One rank's keys on their way round a ring, and the tiles of scores in which rows meet them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.ranks.ring import Ring
from models.forms import Dots

ROWS, KEYS = 256, 256  # a tile of scores of eight heads is 2 MiB and stays in cache


@dataclass(frozen=True, kw_only=True)
class Travelling:
    """One rank's keys and what goes with them."""

    k: Float[Tensor, "B G S D"]
    at: Int[Tensor, " S"]
    bias: Float[Tensor, "B H S"] | None
    norms: Float[Tensor, "B H S"] | None

    @staticmethod
    def of(dots: Dots, norms: Tensor | None) -> "Travelling":
        """Norms in float32."""
        kept = None if norms is None else norms.float()
        return Travelling(k=dots.k, at=dots.keys, bias=dots.key_bias, norms=kept)

    def round(self, ring: Ring, sizes: Sequence[int]) -> "Iterator[tuple[int, Travelling]]":
        """Every rank's keys as they come by, with the rank that owns them."""
        there = {f.name: getattr(self, f.name) for f in fields(self)}
        there = {name: x for name, x in there.items() if x is not None}
        axes = [0 if name == "at" else 2 for name in there]
        for owner, come in ring.visits(list(there.values()), axes, sizes):
            yield owner, replace(self, **dict(zip(there, come, strict=True)))

    def before(self, mine: Dots) -> Dots:
        """This rank's queries before these keys."""
        return replace(mine, k=self.k.float(), key_at=self.at, key_bias=self.bias)


def row_blocks(n: int) -> list[slice]:
    """Blocks of rows that meet a tile of keys together."""
    return [slice(at, min(at + ROWS, n)) for at in range(0, n, ROWS)]


def tiles(visit: Dots, apart: int = 0) -> Iterator[tuple[int, slice, bool]]:
    """Blocks of rows, by number, and tiles of keys that they may see some of.

    Also whether the keys are among the first `apart`: no tile has keys of both kinds.
    """
    rows, keys = visit.rows.tolist(), visit.keys.tolist()
    first = 0 if visit.start is None else int(visit.start.min())
    cuts = key_tiles(keys, apart)
    for block, of in enumerate(row_blocks(len(rows))):
        for where in cuts:
            low, high = keys[where.start], keys[where.stop - 1]
            hidden = low > rows[of.stop - 1] or high < first
            if visit.window is not None and low >= visit.sinks:
                hidden = hidden or rows[of.start] - high >= visit.window
            if not hidden:
                yield block, where, low < apart


def key_tiles(keys: Sequence[int], apart: int) -> list[slice]:
    """Slices of at most KEYS keys, cut at `apart` and where a shard's two runs meet."""
    edges = [
        at
        for at, (left, right) in enumerate(pairwise(keys), 1)
        if left < apart <= right or right - left > KEYS
    ]
    return [
        slice(at, min(at + KEYS, stop))
        for start, stop in pairwise([0, *edges, len(keys)])
        for at in range(start, stop, KEYS)
    ]
