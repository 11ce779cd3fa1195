"""Row statistics and thumbnails against dense float64 numpy written on their own."""

import numpy as np
import pytest
import torch

from interp.stats.dense_rows import COLUMNS, TILE, RowStats, row_stats, thumbnail

SIZES = [1, 2, 3, 4, 5, 7, 13, 31, 33, 64, 101]
FIELDS = (
    "row_sum", "mass", "square", "log", "peak", "peak_rest",
    "rest_mass", "rest_square", "rest_log", "first", "received",
)  # fmt: skip


def causal(t: int, signed: bool) -> torch.Tensor:
    """[2, 3, T, T] float64 patterns; some weights are exactly zero."""
    rng = torch.Generator().manual_seed(t)
    a = torch.randn(2, 3, t, t, generator=rng, dtype=torch.float64).tril()
    a = a if signed else a.abs()
    return a * (torch.rand(a.shape, generator=rng) > 0.2)


def by_loops(a: np.ndarray) -> dict[str, list]:
    """The same numbers from one [T, T] matrix, row by row and without a shared formula."""
    t = len(a)

    def xlogx(row: list[float]) -> float:
        return sum(abs(x) * np.log(abs(x)) for x in row if x)

    seen = [list(a[i, : i + 1]) for i in range(t)]
    return {
        "row_sum": [sum(row) for row in seen],
        "mass": [sum(abs(x) for x in row) for row in seen],
        "square": [sum(x * x for x in row) for row in seen],
        "log": [xlogx(row) for row in seen],
        "peak": [max(abs(x) for x in row) for row in seen],
        "peak_rest": [max([abs(x) for x in row[1:]], default=0.0) for row in seen],
        "rest_mass": [sum(abs(x) for x in row[1:]) for row in seen],
        "rest_square": [sum(x * x for x in row[1:]) for row in seen],
        "rest_log": [xlogx(row[1:]) for row in seen],
        "first": [[a[i, c] if c <= i else 0.0 for c in range(COLUMNS)] for i in range(t)],
        "received": [sum(a[i, j] for i in range(j, t)) / (t - j) for j in range(t)],
    }


def test_fields_listed_here_are_all_there_are() -> None:
    assert tuple(RowStats.__dataclass_fields__) == FIELDS


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("t", SIZES)
def test_row_stats(t: int, signed: bool) -> None:
    a = causal(t, signed)
    stats = row_stats(a)
    for b in range(2):
        for h in range(3):
            for name, expected in by_loops(a[b, h].numpy()).items():
                found = getattr(stats, name)[b, h].numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13, err_msg=name)


def test_float32_stays_close_to_float64() -> None:
    a = causal(101, True)
    wide, narrow = row_stats(a), row_stats(a.float())
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(narrow, name).numpy(), getattr(wide, name).numpy(), rtol=3e-5, atol=3e-5
        )


def test_single_token_is_one_on_itself() -> None:
    stats = row_stats(torch.ones(1, 1, 1, 1))
    assert stats.first[0, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert stats.peak_rest.item() == stats.rest_mass.item() == stats.rest_log.item() == 0.0
    assert stats.received.item() == stats.mass.item() == 1.0


@pytest.mark.parametrize("t", [1, 5, TILE])
def test_small_thumbnails_are_the_matrix(t: int) -> None:
    a = causal(t, True)
    assert torch.equal(thumbnail(a), a)


@pytest.mark.parametrize("t", [33, 64, 70, 100])
def test_thumbnail_is_the_strongest_weight_under_each_pixel(t: int) -> None:
    a = causal(t, True)
    found = thumbnail(a)
    assert found.shape == (2, 3, TILE, TILE)
    m = a[1, 2].numpy()
    for r in range(TILE):
        for c in range(TILE):
            top, bottom = r * t // TILE, -(-(r + 1) * t // TILE)
            left, right = c * t // TILE, -(-(c + 1) * t // TILE)
            under = m[top:bottom, left:right].ravel()
            assert found[1, 2, r, c] == under[np.abs(under).argmax()]


@pytest.mark.parametrize("weight", [0.9, -0.9])
@pytest.mark.parametrize("place", [(0, 0), (50, 3), (77, 77), (99, 0), (99, 98), (99, 99)])
def test_one_strong_token_survives(place: tuple[int, int], weight: float) -> None:
    a = 0.01 * torch.ones(1, 1, 100, 100).tril()
    a[0, 0, place[0], place[1]] = weight
    pixels = thumbnail(a)[0, 0]
    strongest = pixels.flatten()[pixels.abs().argmax()]
    assert strongest == torch.tensor(weight)
    row, column = divmod(int(pixels.abs().argmax()), TILE)
    assert abs(row - place[0] * TILE / 100) <= 1 and abs(column - place[1] * TILE / 100) <= 1
