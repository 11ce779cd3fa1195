"""RoPE curves and bounds as the page asks for them, against sums written out here."""

import math

import numpy as np
import pytest

from interp.progress import Silent
from interp.result import Result
from interp.rope import (
    LONGEST,
    CurveRequest,
    DistancesRequest,
    bound_work,
    distances,
    read_bound,
    read_curve,
)
from interp.subject import Refused
from models.positions.relative import METHODS, Setting


def by_hand(m: int, base: float, d: int, rotated: int) -> float:
    """Σ cos(m b^(-2i/r)) over the pairs that turn, a half for each dim that does not."""
    pairs = sum(math.cos(m * base ** (-2 * i / rotated)) for i in range(rotated // 2))
    return pairs + (d - rotated) / 2


@pytest.mark.parametrize("rotated", [64, 16])
def test_the_curve_is_the_sum(rotated: int) -> None:
    request = CurveRequest(base=500.0, d_head=64, rotated=rotated)
    report = read_curve(request, Silent())
    drawn = report.result.exhibit("curve").one("f(m)")
    for m, value in list(zip(drawn.x, drawn.value, strict=True))[::40]:
        assert value == pytest.approx(by_hand(int(m), 500.0, 64, rotated), abs=1e-6)
    if report.reach is not None:
        below = [by_hand(m, 500.0, 64, rotated) < 0 for m in range(report.reach + 1)]
        assert below.index(True) == report.reach
        assert report.result.figures[0].value == report.reach
    else:
        assert drawn.value.min() >= 0
    assert (rotated == 16) == (report.reach is None)


def test_published_minima_of_base_ten_thousand() -> None:
    found = {f.key: f.value for f in read_curve(CurveRequest(), Silent()).result.figures}
    expected = {1024: 4.28, 2048: -1.82, 4096: -8.36}
    for length, value in expected.items():
        assert found[f"minimum_{length}"] == pytest.approx(value, abs=0.005)
    assert f"minimum_{LONGEST}" in found


def test_the_bound_of_a_context() -> None:
    result = read_bound(1024, Silent())
    assert result.figures[0].value == pytest.approx(4.3e3, rel=0.01)
    assert Result.from_json(result.to_json()).to_json() == result.to_json()
    with pytest.raises(Refused, match="up to 32,768 tokens; got 65,536"):
        bound_work(65536)


def test_slow_pairs_come_closer_and_the_fastest_stays() -> None:
    request, setting = CurveRequest(d_head=64, rotated=64), Setting()
    slow, fast = (
        {heat.key: heat.value for heat in distances(asked).heats}
        for asked in (DistancesRequest(rope=request, setting=setting, pair=p) for p in (31, 0))
    )
    assert set(slow) == set(METHODS)
    assert slow["rope"][40, 3] == pytest.approx(37) and np.isnan(slow["rope"][3, 40])
    assert slow["ntk"][40, 3] == pytest.approx(37 / 4) and fast["ntk"][40, 3] == pytest.approx(37)
    assert slow["yarn"][40, 3] == pytest.approx(37 / 4) and fast["pi"][40, 3] == pytest.approx(9.25)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(base=1.0), "above 1 and at most 1e12; got 1.0"),
        (dict(base=float("nan")), "got nan"),
        (dict(base=1e13), "got 1"),
        (dict(d_head=7), "even width to 1024; got 7"),
        (dict(d_head=64, rotated=66), "got 66"),
        (dict(d_head=64, rotated=2), "at least 4, can turn; got 2"),
    ],
)
def test_what_has_no_rope_is_refused(fields: dict, said: str) -> None:
    with pytest.raises(Refused, match=said):
        CurveRequest(**fields)


@pytest.mark.parametrize(
    ("pair", "fields", "said"),
    [
        (-1, {}, "pairs 0 to 31 that turn; got -1"),
        (32, {}, "got 32"),
        (0, {"length": 129}, "up to 128 tokens"),
        (0, {"window": 10**12}, "settings up to 131,072"),
        (0, {"factor": 1e9}, "settings up to 131,072"),
    ],
)
def test_distances_that_cannot_be_drawn_are_refused(pair: int, fields: dict, said: str) -> None:
    with pytest.raises(Refused, match=said):
        DistancesRequest(
            rope=CurveRequest(d_head=64, rotated=64), setting=Setting(**fields), pair=pair
        )
