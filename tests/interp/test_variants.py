"""Variants side by side: numbers by hand, the same input for all, refusals."""

import numpy as np
import pytest
import torch

from interp.probes.concentration import FIRST_ROW
from interp.progress import Silent
from interp.result import Result
from interp.subject import Refused
from interp.variants import DRAWS, VariantsRequest, compare, layer
from models.registry import VARIANTS


def test_numbers_are_those_of_the_matrix() -> None:
    report = compare(VariantsRequest(names=("delta",), seed=5, length=20), Silent())[0]
    a = np.abs(report.pattern)
    n = np.arange(1, 21)
    s = a.sum(-1) / n / np.sqrt((a**2).sum(-1) / n)
    np.testing.assert_allclose(report.spread, s)
    np.testing.assert_allclose(report.effective, n * s**2)
    np.testing.assert_allclose(report.row_sum, report.pattern.sum(-1))


def test_scores_are_means_over_draws_of_seeds() -> None:
    many = compare(VariantsRequest(names=("softmax",), seed=2, length=16), Silent())[0]
    draws = [
        compare(VariantsRequest(names=("softmax",), seed=2 + i, length=16), Silent())[0]
        for i in range(DRAWS)
    ]
    expected = np.mean([d.effective[:, FIRST_ROW:].mean(-1) for d in draws], 0)
    score = many.result.score("effective")
    np.testing.assert_allclose(score.value[0], expected)
    assert (score.low < score.value).all() and (score.value < score.high).all()
    assert (score.n == DRAWS).all()


def test_every_variant_reads_the_same_input_and_proves_itself() -> None:
    names = tuple(VARIANTS)[:6]
    inputs = [layer(name, 7, 12)[2] for name in names]
    assert all(torch.equal(x, inputs[0]) for x in inputs)
    for report in compare(VariantsRequest(names=names, seed=7, length=17), Silent()):
        assert 0 <= report.result.figures[0].value < 1e-9
        again = Result.from_json(report.result.to_json())
        assert again.to_json() == report.result.to_json()
        assert not report.pattern.flags.writeable


def test_an_estimator_says_how_far_it_is_off() -> None:
    reports = compare(VariantsRequest(names=("performer", "softmax"), length=24), Silent())
    figures = {r.name: {f.key: f for f in r.result.figures} for r in reports}
    assert "miss" not in figures["softmax"]
    found = figures["performer"]["miss"]
    errors = []
    for draw in range(DRAWS):
        mixer, p, _ = layer("performer", draw, 24)
        k = p.k.repeat_interleave(p.q.shape[1] // p.k.shape[1], 1)
        logits = p.q @ k.mT / p.q.shape[-1] ** 0.5
        true = logits.masked_fill(torch.ones(24, 24).triu(1) > 0, -torch.inf).softmax(-1)
        gap = (mixer.pattern(p) - true).flatten(2).norm(dim=-1) / true.flatten(2).norm(dim=-1)
        errors.append(float(gap.mean()))
    assert found.value == pytest.approx(np.mean(errors))
    assert found.low < found.value < found.high
    assert all(s.provenance == "estimator" for s in reports[0].result.scores)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(names=("nope",)), "no attention variant 'nope'"),
        (dict(names=()), "1 to 6 variants; 0 are"),
        (dict(names=("softmax",) * 7), "1 to 6 variants; 7 are"),
        (dict(names=("softmax",), length=1), "16 to 128 tokens long; got 1"),
        (dict(names=("softmax",), length=15), "16 to 128 tokens long; got 15"),
        (dict(names=("softmax",), length=129), "got 129"),
        (dict(names=("softmax",), seed=-1), "got -1"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict, said: str) -> None:
    with pytest.raises(Refused, match=said):
        VariantsRequest(**fields)
