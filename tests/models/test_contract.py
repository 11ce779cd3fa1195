"""The laws every attention variant obeys, over the whole registry and random sizes."""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected, values
from models.registry import VARIANTS, variant

ROW_STOCHASTIC = [name for name, v in VARIANTS.items() if v.traits.row_stochastic]
SINK_SLOT = [name for name, v in VARIANTS.items() if v.traits.sink_slot]
LOGITS = [name for name, v in VARIANTS.items() if v.traits.logits]


@dataclass(frozen=True)
class Case:
    """One drawn size: a mixer's widths, a batch and a length."""

    heads: HeadConfig
    batch: int
    length: int
    seed: int

    def mixer(self, name: str, dtype: torch.dtype = torch.float64) -> Mixer:
        torch.manual_seed(self.seed)
        made = variant(name).mixer(self.heads)
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)  # off zeros and ones
        return made.to(dtype)

    def x(self, dtype: torch.dtype = torch.float64) -> Tensor:
        torch.manual_seed(self.seed + 1)
        shape = (self.batch, self.length, self.heads.d_model)
        return torch.randn(shape, dtype=torch.float64).to(dtype)


@st.composite
def cases(draw: st.DrawFn, min_length: int = 1) -> Case:
    """Odd and even widths, grouped heads, and lengths on both sides of the chunk of 64."""
    groups, share, width = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    edges = st.sampled_from([n for n in (1, 2, 63, 64, 65, 128, 129, 140) if n >= min_length])
    n_heads = groups * share
    return Case(
        HeadConfig(d_model=n_heads * width, n_heads=n_heads, n_kv_heads=groups),
        batch=draw(st.integers(1, 3)),
        length=draw(edges | st.integers(min_length, 140)),
        seed=draw(st.integers(0, 1000)),
    )


def near(a: Tensor, b: Tensor, bound: float) -> bool:
    """True if a and b differ by at most `bound` of b's largest entry; never true of NaN."""
    return bool((a - b).abs().max() <= bound * b.abs().max())


few = settings(max_examples=14)
GROUPED = HeadConfig(d_model=30, n_heads=6, n_kv_heads=2)
long = example(case=Case(GROUPED, batch=2, length=140, seed=0))  # always past two chunks of 64


@few
@pytest.mark.parametrize("name", VARIANTS)
@long
@given(case=cases())
def test_pattern_times_values_is_mix(name: str, case: Case) -> None:
    mixer, x = case.mixer(name), case.x()
    p = mixer.project(x)
    slow, fast = mixer.pattern(p) @ values(p), mixer.mix(p)
    assert fast.shape == p.q.shape
    assert near(slow, fast, 1e-10)
    other = mixer.mix(mixer.project(2 * x + 1))
    assert not near(other, fast, 1e-3), "the output must depend on the input"


def gradients(mixer: Mixer, x: Tensor, z_of: str, weight: Tensor) -> dict[str, Tensor]:
    """Gradients of a random weighting of the merged output, by the slow or the fast road."""
    x = x.clone().requires_grad_()
    p = mixer.project(x)
    z = mixer.pattern(p) @ values(p) if z_of == "pattern" else mixer.mix(p)
    names, parameters = zip(*mixer.named_parameters(), strict=True)
    found = torch.autograd.grad((mixer.merge(z) * weight).sum(), (x, *parameters))
    return dict(zip(("x", *names), found, strict=True))


@few
@pytest.mark.parametrize("name", VARIANTS)
@long
@given(case=cases(min_length=2))
def test_both_roads_have_the_same_gradient(name: str, case: Case) -> None:
    mixer, x = case.mixer(name), case.x()
    weight = torch.randn_like(x)
    slow, fast = (gradients(mixer, x, road, weight) for road in ("pattern", "mix"))
    top = max(g.abs().max() for g in slow.values())
    assert top > 0
    for key, expected in slow.items():
        # Some gradients vanish in theory (one-wide unit keys), so the largest one sets the scale.
        assert (fast[key] - expected).abs().max() <= 1e-10 * top, key


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_float32_stays_within_1e_5_of_float64(name: str, case: Case) -> None:
    exact = case.mixer(name).double()
    rough = copy.deepcopy(exact).float()
    p = exact.project(case.x())
    p32 = rough.project(case.x(torch.float32))
    # About a hundred roundings of 6e-8; the solve of the delta rule is the worst.
    assert near(rough.mix(p32).double(), exact.mix(p), 1e-5)
    assert near(rough.pattern(p32).double(), exact.pattern(p), 1e-5)


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_bfloat16_is_finite_and_close(name: str, case: Case) -> None:
    mixer = case.mixer(name)
    p = mixer.project(case.x())
    rough = copy.deepcopy(mixer).bfloat16()
    p16 = Projected(p.q.bfloat16(), p.k.bfloat16(), p.v.bfloat16(), halve(p.extra))
    for out, exact in ((rough.mix(p16), mixer.mix(p)), (rough.pattern(p16), mixer.pattern(p))):
        assert out.dtype == torch.bfloat16
        assert out.isfinite().all()
        assert near(out.double(), exact, 0.1)  # eight bits of mantissa, summed over up to 140 keys


def halve(extra: dict[str, Tensor]) -> dict[str, Tensor]:
    """The extras in bfloat16."""
    return {key: value.bfloat16() for key, value in extra.items()}


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(min_length=2), data=st.data())
def test_the_future_changes_nothing_before_it(name: str, case: Case, data: st.DataObject) -> None:
    mixer, x = case.mixer(name), case.x()
    cut = data.draw(st.integers(1, case.length - 1))
    later = x.clone()
    later[:, cut:] = 10 * torch.randn_like(later[:, cut:])
    p, changed = mixer.project(x), mixer.project(later)
    a, b = mixer.pattern(p), mixer.pattern(changed)
    assert a.triu(1).count_nonzero() == 0
    assert (a - b)[:, :, :cut].abs().max() <= 1e-12
    moved = (mixer.mix(p) - mixer.mix(changed)).abs()
    assert moved[:, :, :cut].max() <= 1e-12
    assert moved[:, :, cut:].max() > 1e-6, "the perturbed positions themselves must change"


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(), row=st.integers(0, 2))
def test_rows_of_a_batch_do_not_see_each_other(name: str, case: Case, row: int) -> None:
    case = replace(case, batch=3)
    mixer, x = case.mixer(name), case.x()
    together, alone = mixer.project(x), mixer.project(x[row : row + 1])
    assert near(mixer.mix(together)[row : row + 1], mixer.mix(alone), 1e-12)
    assert near(mixer.pattern(together)[row : row + 1], mixer.pattern(alone), 1e-12)
    assert not near(mixer.mix(together)[row - 1 : row or None], mixer.mix(alone), 1e-3)


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_weigh_of_scores_is_the_pattern(name: str, case: Case) -> None:
    mixer = case.mixer(name)
    p = mixer.project(case.x())
    scores = mixer.scores(p)
    assert near(mixer.weigh(scores, p), mixer.pattern(p), 1e-12)
    above = scores[..., *torch.triu_indices(case.length, case.length, 1)]
    assert (above == (-torch.inf if mixer.traits.logits else 0)).all()


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_identity_values_read_the_matrix_off(name: str, case: Case) -> None:
    """Values that are columns of the identity, as many at a time as the head is wide."""
    n_heads, d = case.heads.n_heads, case.heads.d_head
    case = replace(case, heads=replace(case.heads, n_kv_heads=n_heads))
    mixer = case.mixer(name)
    p = mixer.project(case.x())
    eye = torch.eye(case.length, -(-case.length // d) * d, dtype=torch.float64)
    blocks = [eye[:, i : i + d].expand_as(p.v) for i in range(0, case.length, d)]
    read = torch.cat([mixer.mix(replace(p, v=block)) for block in blocks], -1)
    assert near(read[..., : case.length], mixer.pattern(p), 1e-12)


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(min_length=8))
def test_the_matrix_has_the_traits_it_claims(name: str, case: Case) -> None:
    case = replace(case, heads=replace(case.heads, d_model=case.heads.n_heads * 5))
    mixer = case.mixer(name)
    a, traits = mixer.pattern(mixer.project(case.x())), variant(name).traits
    sums = a.sum(-1)
    assert ((sums - 1).abs().max() <= 1e-12) == traits.row_stochastic
    assert (a.min() >= 0) == traits.nonnegative
    assert a.tril().abs().max() > 0
    if traits.sink_slot:
        assert 0 < sums.min() and sums.max() < 1
    # Values do not move the matrix.
    p = mixer.project(case.x())
    assert torch.equal(mixer.pattern(replace(p, v=-3 * p.v)), a) == traits.linear_in_v


@few
@pytest.mark.parametrize("name", LOGITS)
@given(case=cases(min_length=3), data=st.data())
def test_minus_infinity_removes_one_key(name: str, case: Case, data: st.DataObject) -> None:
    """What the other keys (and the sink) had, they share in the old proportion."""
    mixer = case.mixer(name)
    p = mixer.project(case.x())
    key = data.draw(st.integers(1, case.length - 1))  # row 0 has no key but 0
    scores, before = mixer.scores(p), mixer.pattern(p)
    assert before[..., key:, key].min() > 0
    scores[..., key] = -torch.inf
    after = mixer.weigh(scores, p)
    assert after[..., key].abs().max() == 0
    others = torch.arange(case.length) != key
    expected = before[..., others] / (1 - before[..., key, None])
    assert near(after[..., others], expected, 1e-12)


def test_one_variant_each_has_the_special_traits() -> None:
    """The lists above are what picks variants for the tests above; they must not run empty."""
    assert {"softmax", "linear"} <= set(ROW_STOCHASTIC)
    assert "sink_logit" in SINK_SLOT
    assert {"softmax", "sink_logit"} <= set(LOGITS)
    assert not variant("delta").traits.nonnegative


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(d_model=10, n_heads=3, n_kv_heads=3), "d_model=10 is not a multiple of n_heads=3"),
        (dict(d_model=12, n_heads=4, n_kv_heads=3), "n_heads=4 is not a multiple of n_kv_heads=3"),
        (dict(d_model=12, n_heads=0, n_kv_heads=1), "n_heads=0"),
        (dict(d_model=-2, n_heads=1, n_kv_heads=1), "d_model=-2"),
    ],
)
def test_impossible_widths_are_refused(fields: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HeadConfig(**fields)
