"""Softmaxes of dot products to take statistics of: ragged, grouped, windowed, biased, padded."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.wanted import Wanted
from models.forms import Dots


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes and options of a Dots; its numbers are random, the same for the same case."""

    t: int = 65  # queries
    s: int | None = None  # keys; None: as many
    batch: int = 1
    heads: int = 4
    groups: int | None = None  # key heads; None: as many as query heads
    d: int = 16
    deviation: float = 1.0  # of the logits, before softcap and biases
    dtype: torch.dtype = torch.float32
    softcap: float | None = None
    window: int | None = None
    sinks: int = 0
    bias: str | None = None  # "line" (ALiBi) or "gate" (a forget gate's summed logarithms)
    sink: bool = False
    start: tuple[int, ...] | None = None
    query_at: tuple[int, ...] | None = None
    key_at: tuple[int, ...] | None = None
    apart: int = 1
    block: int = 16

    @property
    def options(self) -> set[str]:
        """Options of Dots, by field, that a backend needs to know for this case."""
        names = ("softcap", "window", "sink", "start", "query_at", "key_at")
        used = {name for name in names if getattr(self, name)}
        return used | ({"query_bias"} if self.bias else set())

    def build(self) -> tuple[Dots, Float[Tensor, "B H S"]]:
        """The form, and a norm of every value."""
        rng = torch.Generator().manual_seed(zlib.crc32(repr(self).encode()))
        t, s = (len(at) if at else n for at, n in self.sizes())

        def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype)

        dots = Dots(
            q=normal(self.batch, self.heads, t, self.d, dtype=self.dtype),
            k=normal(self.batch, self.groups or self.heads, s, self.d, dtype=self.dtype),
            scale=self.deviation / self.d**0.5,
            softcap=self.softcap,
            window=self.window,
            sinks=self.sinks,
            sink=normal(self.batch, self.heads, t) if self.sink else None,
            start=None if self.start is None else torch.tensor(self.start),
            query_at=None if self.query_at is None else torch.tensor(self.query_at),
            key_at=None if self.key_at is None else torch.tensor(self.key_at),
        )
        if self.bias:
            total = self.summed(dots, normal)
            dots = replace(dots, query_bias=total[..., dots.rows], key_bias=-total[..., dots.keys])
        return dots, normal(self.batch, self.heads, s).abs()

    def sizes(self) -> list[tuple[tuple[int, ...] | None, int]]:
        """Positions of queries and of keys, if they are given, and how many there are otherwise."""
        return [(self.query_at, self.t), (self.key_at, self.s or self.t)]

    def summed(self, dots: Dots, normal: Callable[..., Tensor]) -> Float[Tensor, "B H N"]:
        """What falls with every token: a query's minus a key's is the bias of the pair."""
        n = int(torch.cat([dots.rows, dots.keys]).max()) + 1
        slope = 2.0 ** -torch.arange(1, self.heads + 1, dtype=torch.float64)[:, None]
        line = -slope * torch.arange(n)
        gate = F.logsigmoid(normal(self.batch, self.heads, n, dtype=torch.float64) + 2).cumsum(-1)
        return {"line": line.expand(self.batch, -1, -1), "gate": gate}[self.bias]


def everything(
    dots: Dots, apart: int = 1, block: int = 16, without: set[str] = frozenset()
) -> Wanted:
    """All statistics but some; rows' targets are spread over all keys, one row in five has none."""
    rows = dots.rows
    wanted = Wanted(
        apart=apart,
        entropy=True,
        square=True,
        distance=True,
        argmax=True,
        top=3,
        columns=(0, 2, 41),
        offsets=(0, 1, 6),
        targets=targets(dots.q.shape[0], rows),
        lags=True,
        received=True,
        block=block,
        valued=True,
    )
    plain = Wanted()
    return replace(wanted, **{name: getattr(plain, name) for name in without})


def targets(batch: int, rows: Int[Tensor, " T"]) -> Int[Tensor, "B T"]:
    """A key of each row's own, never after it, of other rows in other sequences; -1: none."""
    first = torch.arange(batch)[:, None] + 1
    at = torch.where(rows % 5 == 4, -1, rows * first * 7 // 11 % (rows.clamp_min(0) + 1))
    return at.expand(batch, -1)


PADDED = (0, 1, 9, 65)  # the last: nothing but padding
SAMPLED = (0, 1, 2, 17, 40, 41, 64)
SHARD = tuple(range(3, 40, 2)) + tuple(range(44, 65))
CASES = {
    **{f"{t} tokens": Case(t=t, heads=1, d=8) for t in (1, 2, 3, 17, 64)},
    "130 tokens, grouped": Case(t=130, batch=2, groups=2, d=64, apart=4, block=50),
    "65 tokens, one key head": Case(heads=6, groups=1, block=7),
    "65 tokens, odd width": Case(heads=6, groups=3, d=5, apart=2),
    "decoding": Case(t=3, s=65),
    "one query": Case(t=1, s=130, batch=2),
    "apart from all": Case(t=5, apart=7, block=2),
    "bfloat16": Case(t=130, dtype=torch.bfloat16, d=64),
    "float16": Case(dtype=torch.float16),
    "spread of 30": Case(t=130, deviation=30.0, d=64),
    "spread of 30 in bfloat16": Case(deviation=30.0, dtype=torch.bfloat16),
    "line bias": Case(bias="line", batch=2, groups=2),
    "gate bias": Case(t=130, bias="gate"),
    "sink logit": Case(sink=True, batch=2, heads=6, groups=2, apart=4),
    "sink logit, spread of 30": Case(sink=True, deviation=30.0),
    "sink logit and bias": Case(t=17, sink=True, bias="line"),
    "window of 1": Case(window=1),
    "window of 7": Case(window=7, batch=2, groups=2),
    "window beyond": Case(window=100),
    "window and sinks": Case(t=130, window=9, sinks=4, apart=4),
    "more sinks than tokens": Case(t=3, window=1, sinks=9),
    "softcap": Case(softcap=2.0),
    "softcap, spread of 30": Case(softcap=20.0, deviation=30.0),
    "padding": Case(batch=4, start=PADDED, groups=2),
    "padding and sink logit": Case(batch=4, start=PADDED, sink=True),
    "padding and window": Case(batch=4, start=PADDED, window=5, sinks=2),
    "some rows": Case(query_at=SAMPLED, s=65, batch=2),
    "some rows in a window": Case(query_at=SAMPLED, s=65, window=6, sinks=3),
    "some keys": Case(key_at=SHARD, query_at=tuple(range(65)), batch=2, apart=5),
    "some keys, some rows": Case(key_at=SHARD, query_at=SAMPLED, bias="gate", window=20),
    "rows after the keys": Case(query_at=(70, 71, 90), s=65, window=40, sinks=3),
    "all at once": Case(
        query_at=SAMPLED,
        s=65,
        batch=4,
        heads=6,
        groups=3,
        dtype=torch.bfloat16,
        softcap=3.0,
        window=11,
        sinks=2,
        bias="gate",
        sink=True,
        start=PADDED,
        apart=2,
        block=9,
    ),
}  # fmt: skip
