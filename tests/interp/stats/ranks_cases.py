"""Matrices that the ring of ranks and the dense truth both compute; imported by the ranks."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from interp.stats.wanted import Wanted
from models.forms import Dots

B, H, D = 2, 4, 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sequence of `n` tokens, or of as many as there are ranks, and how it is spread."""

    n: int | None = 67  # divides by no number of runs
    layout: str = "zigzag"
    groups: int = H
    dtype: torch.dtype = torch.float32
    spread: float = 1.0  # of logits
    form: dict[str, object] = field(default_factory=dict)
    biased: bool = False
    learned: bool = False  # a sink logit per row
    padded: bool = False
    wanted: dict[str, object] | None = None  # None: everything
    tile: tuple[int, int] = (256, 256)
    bound: float = 1e-6


CASES = {
    "everything": Case(),
    "one token a rank": Case(n=None),
    "small tiles": Case(tile=(15, 16)),
    "contiguous": Case(layout="contiguous", tile=(16, 16)),
    "striped": Case(layout="striped"),
    "grouped": Case(groups=2, tile=(16, 8)),
    "window": Case(n=90, form={"window": 9}, tile=(9, 12)),
    "sinks + window": Case(n=90, form={"window": 5, "sinks": 3}, tile=(9, 12)),
    "softcap": Case(form={"softcap": 2.0}, spread=4),
    "biased": Case(biased=True, groups=1),
    "learned sink": Case(learned=True),
    "left padding": Case(padded=True, tile=(16, 8)),
    "padded, learned, window": Case(padded=True, learned=True, form={"window": 6}, groups=2),
    "bfloat16": Case(dtype=torch.bfloat16, groups=2),
    "peaked": Case(spread=30, bound=4e-5),  # a float32 logit of 200 is 2e-5 off
    "rows alone": Case(wanted={"entropy": True}),
    "lags alone": Case(wanted={"lags": True}),
}


def whole(case: Case, world: int) -> tuple[Dots, Wanted, Tensor]:
    """The matrix, what is asked of it, and the norms, the same in every process."""
    rng = torch.Generator().manual_seed(7)
    n = case.n or world
    q = torch.randn(B, H, n, D, generator=rng) * case.spread
    k = torch.randn(B, case.groups, n, D, generator=rng)
    norms = torch.rand(B, H, n, generator=rng)
    rows, keys, sink = (torch.randn(B, H, n, generator=rng) for _ in range(3))
    targets = torch.randint(-1, n, (B, n), generator=rng)
    dots = Dots(q=q.to(case.dtype), k=k.to(case.dtype), scale=D**-0.5, **case.form)
    if case.biased:
        dots = replace(dots, query_bias=rows.double(), key_bias=keys.double())
    if case.learned:
        dots = replace(dots, sink=sink)
    if case.padded:
        dots = replace(dots, start=torch.tensor([0, 7]))
    everything = dict(
        apart=2, entropy=True, square=True, distance=True, argmax=True, top=3, columns=(0, 3, 40),
        offsets=(0, 1, 9), targets=targets, lags=True, received=True, block=11, valued=True,
    )  # fmt: skip
    return dots, Wanted(**(everything if case.wanted is None else case.wanted)), norms


def held(dots: Dots, wanted: Wanted, norms: Tensor, at: Tensor) -> tuple[Dots, Wanted, Tensor]:
    """The part of one rank, whose tokens stand at some positions."""
    rows = {
        name: None if getattr(dots, name) is None else getattr(dots, name)[:, :, at]
        for name in ("q", "k", "query_bias", "key_bias", "sink")
    }
    asked = wanted
    if wanted.targets is not None:
        asked = replace(wanted, targets=wanted.targets[:, at])
    return replace(dots, **rows, query_at=at, key_at=at), asked, norms[:, :, at]
