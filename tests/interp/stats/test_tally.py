"""Tally: whatever tiles a matrix comes in, the statistics are those of its definition."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.layers.tally import Tally
from interp.stats.wanted import Wanted
from tests.interp.stats.checks import FIELDS, flat
from tests.interp.stats.explicit import everything, holds


def causal(t: int, batch: int = 2, heads: int = 3) -> Tensor:
    """Random signs, sizes over eight orders of magnitude, one row and one column of zeros."""
    shape = batch, heads, t, t
    a = torch.randn(shape, dtype=torch.float64) * (4 * torch.randn(shape).double()).exp()
    a[..., t // 2, :] = 0
    a[..., t // 3] = 0
    return a.tril()


def tiled(tally: Tally, a: Tensor, rows: list[int], keys: list[int]) -> HeadStats:
    """All tiles between these cuts in random order, but those above the diagonal."""
    tiles = [(slice(*r), slice(*k)) for r in pairwise(rows) for k in pairwise(keys)]
    for at in torch.randperm(len(tiles)).tolist():
        r, k = tiles[at]
        if tally.where[r.stop - 1] >= k.start:
            tally.add(a[:, :, r, k], r, k)
    return tally.finalize()


def cuts(n: int) -> list[int]:
    inner = torch.randperm(n)[: n // 12 + 1].sort().values.tolist()
    return [0, *(x for x in inner if x), n]


@pytest.mark.parametrize("t", [1, 2, 3, 41, 66])
@pytest.mark.parametrize("apart", [0, 1, 4])
def test_random_tilings_of_a_signed_matrix(t: int, apart: int) -> None:
    a, norms = causal(t), torch.rand(2, 3, t, dtype=torch.float64)
    wanted = everything(2, torch.arange(t), apart)
    tally = Tally(wanted, (2, 3, t), norms, dtype=torch.float64)
    holds(tiled(tally, a, cuts(t), cuts(t)), a, wanted, 1e-12, norms=norms)


@pytest.mark.parametrize("rows", [128, 5])
def test_float32_keeps_the_sum_of_what_is_left_beside_a_sink(rows: int) -> None:
    """Keys told apart are never subtracted: 1e-6 of mass beside 1 keeps its digits."""
    t = 128
    a = causal(t).abs()
    a = a / a.sum(-1, keepdim=True).clamp_min(1e-30) * 1e-6
    a[..., 0] = 1
    wanted = Wanted(apart=1, entropy=True, square=True, distance=True)
    tally = Tally(wanted, (2, 3, t))
    found = tiled(tally, a.float(), [*range(0, t, rows), t], [0, t])
    assert found.rest.mass.dtype == torch.float32
    holds(found, a.float().double(), wanted, 2e-6)


def test_distances_of_long_rows_are_not_lost_in_rounding() -> None:
    """At position 10 million a float32 difference of sums knows no distance of 1."""
    at = torch.tensor([10_000_000])
    wanted = Wanted(distance=True)
    tally = Tally(wanted, (1, 1, 1), at=at, n_keys=10_000_001)
    tally.add(torch.full((1, 1, 1, 2), 0.3), slice(0, 1), slice(9_999_998, 10_000_000))
    assert tally.finalize().distance.item() == pytest.approx(0.3 * (2 + 1), rel=1e-6)


def test_some_rows() -> None:
    """Sampled rows stand at their own positions, with gaps."""
    t, at = 40, torch.tensor([0, 3, 4, 5, 20, 38])
    a = causal(t)[:, :, at]
    wanted = everything(2, at)
    norms = torch.rand(2, 3, t, dtype=torch.float64)
    tally = Tally(wanted, (2, 3, len(at)), norms, at=at, n_keys=t, dtype=torch.float64)
    found = tiled(tally, a, [0, 2, 5, 6], cuts(t))
    holds(found, a, wanted, 1e-12, at, norms)
    assert found.visible.tolist() == [[1, 4, 5, 6, 21, 39]]


def test_what_no_tile_covers_is_zero() -> None:
    wanted = replace(everything(1, torch.arange(9)), valued=False)
    found = Tally(wanted, (1, 2, 9)).finalize()
    holds(found, torch.zeros(1, 2, 9, 9), wanted, 1e-12)
    assert found.every.entropy.isnan().all()


def test_only_what_is_wanted_is_there() -> None:
    always = {"visible", "row_sum", "every.mass", "every.peak"}
    full = everything(1, torch.arange(5))
    for name in (f.name for f in fields(Wanted)):
        wanted = replace(Wanted(), **{name: getattr(full, name)})
        tally = Tally(wanted, (1, 1, 5), torch.ones(1, 1, 5))
        tally.add(torch.ones(1, 1, 5, 5).tril(), slice(0, 5), slice(0, 5))
        assert set(flat(tally.finalize())) == always | FIELDS[name], name


def test_wrong_input_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="give norms"):
        Tally(Wanted(valued=True), (1, 1, 5))
    with pytest.raises(ValueError, match=r"is \(1, 1, 2, 3\)"):
        Tally(Wanted(), (1, 1, 5)).add(torch.ones(1, 1, 3, 2), slice(0, 2), slice(0, 3))
