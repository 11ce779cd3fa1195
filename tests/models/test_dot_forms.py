"""Variants that offer their softmax of dot products: it is the matrix that they apply."""

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings

from models.attention.contract import Projected, cut
from models.forms import DotForm
from models.registry import VARIANTS
from tests.models.test_contract import Case, cases, near, projected

OFFERING = [name for name, v in VARIANTS.items() if issubclass(v.mixer, DotForm)]
OTHER = {
    *("path", "rerope", "leaky_rerope", "self_extend"),  # logits are no one product of q and k
    *("strided", "fixed", "atrous_local", "block_sparse"),  # masks are neither causal nor windows
    "sigmoid",  # no softmax
}


def test_whoever_is_one_offers_it():
    """All softmaxes over all earlier keys or a window of them, and nobody else."""
    traits = {name: v.traits for name, v in VARIANTS.items()}
    full = {n for n, t in traits.items() if t.logits and t.nonnegative and not t.subquadratic}
    assert set(OFFERING) == full - OTHER | {"window"}


@pytest.mark.parametrize("name", OFFERING)
@example(case=Case(2, 3, 5, batch=2, length=140, seed=0))
@example(case=Case(2, 2, 4, batch=2, length=1, seed=1))
@settings(max_examples=3)
@given(case=cases())
def test_the_softmax_is_the_pattern(name: str, case: Case) -> None:
    """Rotated where the width allows it, at odd sizes, grouped; also for the last rows alone."""
    mixer, x = case.mixer(name), case.x()
    still = mixer.place(mixer.project(x), torch.arange(x.shape[1]), lambda x, where: x)
    for p in (projected(mixer, x), still):
        assert near(mixer.dots(p).weights(), mixer.pattern(p), 1e-12)
        last = cut(p, slice(x.shape[1] // 2, None), slice(None), mixer.traits)
        assert near(mixer.dots(last).weights(), mixer.pattern(last), 1e-12)


@pytest.mark.parametrize("name", ["alibi", "fox"])
def test_biases_of_long_prompts_keep_their_digits(name: str) -> None:
    """Sums over 20,000 tokens in float32 would leave four digits of their differences."""
    mixer = Case(2, 1, 4, batch=1, length=1, seed=0).mixer(name)
    x = torch.randn(1, 20_000, 8, dtype=torch.float64)
    with torch.no_grad():
        p = mixer.project(x)
        single = Projected(
            *(y.float() for y in (p.q, p.k, p.v)), {n: y.float() for n, y in p.extra.items()}
        )
        rows = slice(19_990, 20_000), slice(19_900, 20_000)
        exact, found = (mixer.dots(y).part(*rows) for y in (p, single))
    biased = replace(exact, q=0 * exact.q).logits(), replace(found, q=0 * found.q).logits()
    seen = exact.visible()[0, 0]
    assert (biased[0] - biased[1])[..., seen].abs().max() < 1e-4
