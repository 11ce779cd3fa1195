"""The bound on RoPE's base: published values, the cosine integral, a search that skips nothing."""

import math

import mpmath
import pytest
import torch

from models import rope_bound
from models.rope_bound import TABLE, asymptotic_base, curve, lowest_base, minimum

PUBLISHED = {1024: 4.3e3, 2048: 1.2e4, 4096: 2.7e4, 8192: 8.4e4, 16384: 2.3e5, 32768: 6.3e5}


def literal(m: float, base: float, d: int) -> float:
    """f_b(m), term by term."""
    return math.fsum(math.cos(m * base ** (-2 * i / d)) for i in range(d // 2))


@pytest.mark.parametrize("d", [2, 6, 128])
def test_the_curve_is_the_sum(d: int) -> None:
    distances = torch.tensor([0, 1, 7, 1000, 32767])
    expected = [literal(m, 500.0, d) for m in distances.tolist()]
    torch.testing.assert_close(
        curve(500.0, distances, d), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9
    )
    assert curve(500.0, torch.tensor([0]), d).item() == d / 2
    assert len(curve(500.0, torch.arange(0), d)) == 0


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = curve(10000.0, torch.arange(100), 16)
    monkeypatch.setattr(rope_bound, "CHUNK", 24)  # three distances at once
    assert torch.equal(curve(10000.0, torch.arange(100), 16), whole)
    assert lowest_base(60, 16, 2) == pytest.approx(searched(60, 16, 2), rel=1e-12)


@pytest.mark.parametrize(("length", "least"), [(1024, 4.28), (2048, -1.82), (4096, -8.36)])
def test_base_10000_serves_one_thousand_tokens_but_not_two(length: int, least: float) -> None:
    assert minimum(10000.0, length) == pytest.approx(least, abs=0.006)


@pytest.mark.parametrize("length", [1024, 2048, 4096])
def test_published_bounds(length: int) -> None:
    found = lowest_base(length)
    assert float(f"{found:.1e}") == PUBLISHED[length]
    assert minimum(found, length) >= 0 > minimum(found * 0.999, length)


@pytest.mark.slow
@pytest.mark.parametrize("length", [8192, 16384, 32768])
def test_published_bounds_of_long_contexts(length: int) -> None:
    assert float(f"{lowest_base(length):.1e}") == PUBLISHED[length]


def searched(length: int, d: int, rounds: int = 4) -> float:
    """The search in plain loops: every base of a grid in turn, at every distance."""
    found = 1000.0 * length
    for k in range(1, rounds + 1):
        n = 10**k
        bases = (found * i / n for i in range(1, n + 1))
        found = next(
            b for b in bases if b > 1 and all(literal(m, b, d) >= 0 for m in range(length))
        )
    return found


@pytest.mark.parametrize(("length", "d"), [(1, 8), (12, 8), (40, 16), (60, 32)])
def test_the_shortcut_finds_what_trying_every_base_finds(length: int, d: int) -> None:
    assert lowest_base(length, d, rounds=3) == pytest.approx(searched(length, d, 3), rel=1e-12)


def test_more_is_not_always_better() -> None:
    """Why the search cannot halve intervals: a higher base may fail where a lower one serves."""
    lowest = lowest_base(2048)
    higher = [minimum(lowest * (1 + i / 50), 2048) >= 0 for i in range(50)]
    assert higher[0] and not all(higher) and higher[-1]


def test_the_table_is_the_published_one_and_grows() -> None:
    assert {row.length: row.blog for row in TABLE[:6]} == PUBLISHED
    for name in ("length", "paper", "blog"):
        column = [getattr(row, name) for row in TABLE]
        assert column == sorted(set(column))
    assert all(row.blog <= row.paper for row in TABLE)
    assert all(asymptotic_base(row.length) < row.blog for row in TABLE)


def test_the_asymptote_is_the_first_zero_of_the_cosine_integral() -> None:
    zero = float(mpmath.findroot(mpmath.ci, 0.6))
    assert asymptotic_base(10**6) == pytest.approx(10**6 / zero, rel=1e-12)


def test_wide_heads_come_to_the_integral() -> None:
    """(d / 2 ln b) (Ci(m) - Ci(m/b)); it changes sign where the asymptote says."""
    base, d = 10000.0, 1 << 16
    m = torch.tensor([50.0, 900.0, 6000.0, 6300.0, 20000.0])
    integral = [float(mpmath.ci(x) - mpmath.ci(x / base)) / math.log(base) for x in m.tolist()]
    ours = curve(base, m, d) / (d / 2)
    torch.testing.assert_close(ours, torch.tensor(integral, dtype=torch.float64), rtol=0, atol=1e-4)
    assert ours[2] > 0 > ours[3]


def test_rotating_half_of_the_dims_serves_any_length() -> None:
    for base in (1.5, 100.0, 10000.0):
        assert minimum(base, 5000, 128) < 0 < minimum(base, 5000, 128, rotated=64)
    half = curve(100.0, torch.arange(50), 128, rotated=64)
    torch.testing.assert_close(half, 32 + curve(100.0, torch.arange(50), 64))
    assert minimum(100.0, 50, 128, rotated=0) == 64


def test_interpolation_stretches_the_curve() -> None:
    m = torch.arange(300)
    torch.testing.assert_close(curve(500.0, m / 3, 64)[::3], curve(500.0, m[:100], 64))


def test_impossible_numbers_are_refused() -> None:
    m = torch.arange(4)
    for base in (1.0, -3.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"above 1 and finite, got {base}"):
            curve(base, m)
    for d, rotated in ((0, 0), (7, 6), (8, 3), (8, 10), (8, -2)):
        with pytest.raises(ValueError, match=f"got width {d}, rotated {rotated}"):
            curve(100.0, m, d, rotated)
    for f in (lowest_base, asymptotic_base, lambda length: minimum(100.0, length)):
        with pytest.raises(ValueError, match="at least one token, got length=0"):
            f(0)
    with pytest.raises(ValueError, match="got width 5"):
        lowest_base(10, 5)
    with pytest.raises(ValueError, match="no base up to 8000 .* before m=8 at head width 2"):
        lowest_base(8, 2)
