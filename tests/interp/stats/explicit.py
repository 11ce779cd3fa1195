"""Holds statistics to the definition on the explicit matrix, signed or not."""

import torch
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.naive import of_matrix
from interp.stats.wanted import Wanted
from tests.interp.stats.checks import close, flat

SUMS = ("row_sum", "received", "lags", "block_sum")  # signs cancel: relative to the sum of |A|
NAMED = {"argmax", "top_keys", "visible", "lse"}


def everything(batch: int, rows: Tensor, apart: int = 1, block: int = 7) -> Wanted:
    """All statistics; targets differ from sequence to sequence, and some rows have none."""
    targets = (rows * torch.arange(2, batch + 2)[:, None] // 5 % (rows + 1)).clone()
    targets[:, ::4] = -1
    return Wanted(
        apart=apart,
        entropy=True,
        square=True,
        distance=True,
        argmax=True,
        top=3,
        columns=(0, 2, 41),
        offsets=(0, 1, 6),
        targets=targets,
        lags=True,
        received=True,
        block=block,
        valued=True,
    )


def of_pattern(
    a: Tensor, wanted: Wanted, rows: Tensor | None = None, norms: Tensor | None = None
) -> HeadStats:
    """The truth about some rows of a causal matrix of as many keys."""
    keys = torch.arange(a.shape[-1])
    rows = keys if rows is None else rows
    seen = (keys <= rows[:, None]).expand(len(a), 1, -1, -1)
    return of_matrix(a, wanted, rows, keys, seen, norms=norms)


def holds(
    found: HeadStats,
    a: Tensor,
    wanted: Wanted,
    tolerance: float,
    rows: Tensor | None = None,
    norms: Tensor | None = None,
) -> None:
    """Every field that was asked for equals its definition on the rows `a`.

    Errors are relative to the number itself and, where numbers of both signs add up, to the sum
    of their sizes; entries read one by one, to the largest of their row. What a delta rule leaves
    of a key is the rest of larger numbers: sums and peaks of blocks may be off by a hundredth of
    the tolerance times the largest entry.
    """
    truth = flat(of_pattern(a, wanted, rows, norms))
    sizes = flat(of_pattern(a.abs(), wanted, rows, norms))
    named = flat(found)
    assert set(truth) - NAMED == set(named) - NAMED
    noise = 0.01 * a.abs().amax()
    floors = {name: sizes[name] + noise for name in SUMS if name in sizes}
    floors |= {f"{part}.log": truth.get(f"{part}.mass") for part in ("every", "rest")}
    floors["distance"] = truth["every.mass"]
    for name in ("columns", "offsets", "top_weights"):
        floors[name] = truth["every.peak"][..., None]
    floors |= {"targets": truth["every.peak"], "rest.peak": truth["every.peak"]}
    floors["block_peak"] = noise
    for name in set(truth) - NAMED:
        x = floors.get(name)
        close(named[name], truth[name], tolerance, name, None if x is None else x + 1e-6)
    names_the_strongest(found, a, tolerance)


def names_the_strongest(found: HeadStats, a: Tensor, tolerance: float) -> None:
    """Keys by the weight that stands there: which of two equals is named is free."""
    if found.top_keys is not None:
        there = found.top_keys >= 0
        read = a.gather(-1, found.top_keys.clamp_min(0))
        close(found.top_weights, torch.where(there, read, 0), tolerance, "top keys", a.abs().max())
        full = (a != 0).sum(-1, keepdim=True).clamp_max(there.shape[-1])
        assert torch.equal(there.sum(-1, keepdim=True), full)
        ordered = found.top_keys.sort(-1).values
        assert ((ordered.diff(dim=-1) != 0) | (ordered[..., 1:] < 0)).all(), "a key named twice"
    if found.argmax is not None:
        read = a.gather(-1, found.argmax.clamp_min(0)[..., None])[..., 0]
        close(read.abs(), a.abs().amax(-1), tolerance, "argmax", a.abs().max())
        assert torch.equal(found.argmax < 0, (a == 0).all(-1))
