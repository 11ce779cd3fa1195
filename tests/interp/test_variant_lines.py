"""Lines and matrices of variants side by side: the matrix's own numbers, costs counted by hand."""

import numpy as np
import pytest

from interp.progress import Silent
from interp.result import Result
from interp.subject import Refused
from interp.variant_lines import head_matrix, lines
from interp.variants import VariantsRequest, compare

REPORTS = compare(VariantsRequest(names=("softmax", "linear", "performer"), length=20), Silent())


def test_rows_are_those_of_the_matrix() -> None:
    found = lines(REPORTS, 5)
    for report in REPORTS:
        a = np.abs(report.pattern[5])
        one = found.exhibit("effective").one(report.name)
        np.testing.assert_allclose(one.value, a.sum(-1) ** 2 / (a**2).sum(-1))
        assert one.x.tolist() == list(range(20)) and (one.n == 1).all()
        assert np.isnan(one.low).all() and np.isnan(one.high).all()
    kinds = [one.provenance for one in found.exhibit("row_sum").series]
    assert kinds == ["measured", "measured", "estimator"]
    np.testing.assert_allclose(found.exhibit("row_sum").one("softmax").value, 1)


def test_costs_grow_as_they_must() -> None:
    kept, flops = (lines(REPORTS, 0).exhibit(key) for key in ("bytes", "flops"))
    softmax, linear = kept.one("softmax"), kept.one("linear")
    np.testing.assert_allclose(
        softmax.value, softmax.x * 2 * 4 * 32 * 2
    )  # k, v; heads; width; bytes
    assert len(set(linear.value)) == 1
    for shown in (kept, flops):
        assert shown.log_x and shown.log_y
        assert all(one.provenance == "derived" for one in shown.series)
    ratio = flops.one("softmax").value[-1] / flops.one("softmax").value[-2]
    assert 3.5 < ratio < 4 and flops.one("linear").value[-1] == 2 * flops.one("linear").value[-2]


def test_a_matrix_is_kept_as_it_is() -> None:
    shown = head_matrix(REPORTS[0], 7)
    heat = shown.heats[0]
    np.testing.assert_array_equal(heat.value, REPORTS[0].pattern[7])
    assert heat.rows[:2] == ("0", "1") and not heat.signed
    assert "random input" in heat.definition and "prompt" not in heat.definition
    assert Result.from_json(shown.to_json()).to_json() == shown.to_json()


def test_what_is_shown_has_a_digest_of_its_own() -> None:
    digests = {lines(REPORTS, 0).digest, lines(REPORTS, 1).digest, lines(REPORTS[:2], 0).digest}
    assert len(digests) == 3
    with pytest.raises(Refused, match="softmax has 8 heads and no H8"):
        lines(REPORTS, 8)
