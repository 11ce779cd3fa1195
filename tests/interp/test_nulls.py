"""Intervals against coverage and published values, and null inputs against what they promise."""

import math

import numpy as np
import pytest
import torch

from interp.nulls import (
    CELLS,
    RESAMPLES,
    block_length,
    generator,
    mean_interval,
    proportion_interval,
    repeated,
    resample_counts,
    shuffled,
    small_sample_factor,
    uniform_column,
)

# probes.md section 1: alpha_1 of uniform causal attention is H_T / T.
GOLDEN = {16: 0.21130, 32: 0.12683, 64: 0.0741233, 128: 0.04245, 256: 0.02392}


@pytest.mark.parametrize(("t", "expected"), GOLDEN.items())
def test_uniform_column_golden(t: int, expected: float) -> None:
    assert uniform_column(np.arange(t)) == pytest.approx(expected, abs=6e-6)
    harmonic = sum(1 / i for i in range(1, t + 1))
    assert uniform_column(np.arange(t)) == pytest.approx(harmonic / t, rel=1e-12)


@pytest.mark.parametrize("k", [0, 1, 2, 7])
def test_uniform_column_is_the_mean_of_that_column(k: int) -> None:
    t = 8
    a = np.tril(np.ones((t, t))) / np.arange(1, t + 1)[:, None]
    assert uniform_column(np.arange(t), k) == pytest.approx(a[k:, k].mean(), rel=1e-12)


def test_one_sample_has_no_interval_and_none_has_no_value() -> None:
    gap = np.nan
    samples = np.array([[[gap, 4.0, gap], [gap, gap, gap], [1.0, gap, 2.0], [1.0, 2.0, 3.0]]])
    value, low, high, n = mean_interval(samples, 1, 0)
    assert n.tolist() == [[1, 0, 2, 3]]
    assert value[0, 0] == 4.0 and math.isnan(value[0, 1]) and value[0, 2] == 1.5
    assert np.isnan(low[0, :3]).all() and np.isnan(high[0, :3]).all()
    assert (low[0, 3], high[0, 3]) == (1.0, 3.0)


@pytest.mark.parametrize(("n", "t"), [(3, 4.303), (5, 2.776), (10, 2.262), (30, 2.045)])
def test_few_samples_widen_the_interval_as_student_says(n: int, t: float) -> None:
    factor = small_sample_factor(np.array([float(n)])).item()
    assert factor == pytest.approx(t / 1.95996 * (n / (n - 1)) ** 0.5, rel=0.04)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_coverage_holds_for_few_samples(n: int) -> None:
    samples = np.random.default_rng(n).normal(2.0, 1.0, (40, 60, n))
    _, low, high, _ = mean_interval(samples, 1, 0)
    assert 0.92 < ((low < 2.0) & (high > 2.0)).mean() < 0.97


def test_missing_samples_are_left_out_not_zero() -> None:
    rng = np.random.default_rng(3)
    full = rng.normal(10.0, 1.0, (1, 1, 60))
    holes = full.copy()
    holes[0, 0, ::2] = np.nan
    value, low, high, n = mean_interval(holes, 1, 0)
    assert n.item() == 30
    assert value.item() == pytest.approx(full[0, 0, 1::2].mean(), rel=1e-12)
    assert 9 < low.item() < value.item() < high.item() < 11
    alone = mean_interval(full[:, :, 1::2], 1, 0)
    width, expected = high.item() - low.item(), alone[2].item() - alone[1].item()
    assert width == pytest.approx(expected, rel=0.25)


def test_constant_samples_have_a_point_interval() -> None:
    value, low, high, n = mean_interval(np.full((2, 3, 9), 0.25), 2, 0)
    assert (value == 0.25).all() and (n == 9).all()
    np.testing.assert_allclose(low, 0.25, rtol=1e-12)
    np.testing.assert_allclose(high, 0.25, rtol=1e-12)


def test_coverage_is_about_95_percent() -> None:
    trials, n = 1000, 60
    samples = np.random.default_rng(11).normal(2.0, 3.0, (1, trials, n))
    _, low, high, _ = mean_interval(samples, 1, 0)
    covered = ((low < 2.0) & (high > 2.0)).mean()
    # The percentile bootstrap at n = 60 is a little short of 95 %; 4 binomial errors around it.
    error = math.sqrt(0.95 * 0.05 / trials)
    assert 0.95 - 0.012 - 4 * error < covered < 0.95 + 4 * error


def test_interval_has_the_width_of_the_standard_error() -> None:
    samples = np.random.default_rng(5).normal(0.0, 1.0, (1, 50, 400))
    _, low, high, _ = mean_interval(samples, 1, 0)
    expected = 2 * 1.96 * samples.std(-1) / math.sqrt(400)
    assert np.mean((high - low) / expected) == pytest.approx(1.0, abs=0.02)


def test_blocks_widen_the_interval_of_dependent_rows() -> None:
    rng, n, phi = np.random.default_rng(2), 1000, 0.8
    noise = rng.normal(size=(1, 100, n))
    series = noise.copy()
    for t in range(1, n):
        series[..., t] = phi * series[..., t - 1] + noise[..., t]
    widths, covered = {}, {}
    for block in (1, 25):
        _, low, high, _ = mean_interval(series, block, 0)
        widths[block] = (high - low).mean()
        covered[block] = ((low < 0) & (high > 0)).mean()
    # In theory by sqrt((1 + phi) / (1 - phi)) = 3, less what blocks of 25 cut off.
    assert 2.2 < widths[25] / widths[1] < 3.1
    assert covered[1] < 0.65 and covered[25] > 0.82


def test_blocks_do_not_widen_the_interval_of_independent_rows() -> None:
    samples = np.random.default_rng(4).normal(size=(1, 100, 1000))
    _, low, high, _ = mean_interval(samples, 1, 0)
    _, low_b, high_b, _ = mean_interval(samples, 10, 0)
    assert (high_b - low_b).mean() / (high - low).mean() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("n", "block"), [(1, 1), (7, 3), (10, 1), (10, 4), (5, 9)])
def test_every_resample_draws_n_and_every_item_alike(n: int, block: int) -> None:
    counts = resample_counts(n, block, 0)
    assert counts.shape == (RESAMPLES, n) and (counts.sum(1) == n).all()
    assert np.abs(counts.mean(0) - 1).max() < 0.25


def test_blocks_are_neighbours_in_a_circle() -> None:
    counts = resample_counts(12, 4, 0)
    for drawn in counts[:200]:
        # Three blocks of 4: the counts are a sum of three circular runs.
        rises = np.maximum(drawn - np.roll(drawn, 1), 0).sum()
        assert rises <= 3
    assert any(drawn[0] and drawn[-1] and not drawn.all() for drawn in counts)


def test_cached_counts_cannot_be_written_to_and_do_not_pile_up() -> None:
    with pytest.raises(ValueError, match="read-only"):
        resample_counts(6, 1, 0)[0, 0] = 9.0
    for n in range(2, 80):
        resample_counts(n, 1, 0)
    assert resample_counts.cache_info().currsize < 40


@pytest.mark.parametrize(("n", "block"), [(1, 1), (2, 1), (8, 2), (27, 3), (64, 4), (1000, 10)])
def test_block_length_is_the_cube_root(n: int, block: int) -> None:
    assert block_length(n) == block


def test_wilson_against_published_values() -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: Wilson's score.
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}
    published |= {(0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (hits, n), expected in published.items():
        assert proportion_interval(hits, n) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 10), (270, 270)])
def test_wilson_solves_the_score_equation(hits: int, n: int) -> None:
    low, high = proportion_interval(hits, n)
    for bound in {low, high} - {0.0, 1.0}:
        z = (hits / n - bound) / math.sqrt(bound * (1 - bound) / n)
        assert abs(z) == pytest.approx(1.96, abs=1e-4)
    assert 0.0 <= low <= hits / n <= high <= 1.0


def test_wilson_of_nothing_is_undefined() -> None:
    assert all(math.isnan(x) for x in proportion_interval(0, 0))


def test_seeds() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 1, 30))
    once, again, other = (mean_interval(samples, 1, seed) for seed in (7, 7, 8))
    assert (once[1], once[2]) == (again[1], again[2])
    assert (once[1], once[2]) != (other[1], other[2])
    assert once[0] == other[0]
    a, b, c = (torch.randn(4, generator=generator(seed)) for seed in (7, 7, 8))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_shuffled_is_a_permutation() -> None:
    ids = torch.tensor([5, 5, 9, 1, 2, 3, 8, 8, 8, 40])
    copies = shuffled(ids, 4, seed=1)
    assert copies.shape == (4, 10)
    for copy in copies:
        assert sorted(copy.tolist()) == sorted(ids.tolist()) and copy.tolist() != ids.tolist()
    assert len({tuple(copy.tolist()) for copy in copies}) == 4
    assert torch.equal(copies, shuffled(ids, 4, seed=1))
    assert not torch.equal(copies, shuffled(ids, 4, seed=2))


def test_repeated_is_one_token() -> None:
    assert repeated(17, 5).tolist() == [[17] * 5]


def test_uniform_column_of_sampled_rows() -> None:
    """By hand: of rows 1, 4 and 9 the last two see column 2, and give it 1/5 and 1/10."""
    assert uniform_column(np.array([1, 4, 9]), 2) == pytest.approx(0.15)
    assert uniform_column(np.array([0, 1]), 2) is None


def test_long_series_are_bootstrapped_in_cells_with_the_same_answer() -> None:
    """Against the interval of the same series without cells; NaN samples count nowhere."""
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(2, 1, 2 * CELLS + 5))
    samples[0, 0, :40] = np.nan
    value, low, high, n = mean_interval(samples, 16, seed=0)
    np.testing.assert_allclose(value, np.nanmean(samples, -1), rtol=1e-12)
    np.testing.assert_array_equal(n[:, 0], [2 * CELLS - 35, 2 * CELLS + 5])
    width = 2 * 1.96 / np.sqrt(n)  # independent normal samples: the closed form
    np.testing.assert_allclose(high - low, width, rtol=0.1)
    assert (low < value).all() and (value < high).all()
