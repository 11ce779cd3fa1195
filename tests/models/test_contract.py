"""The laws every attention variant obeys, over the whole registry and random sizes."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.attention.contract import Estimator, HeadConfig, Mixer, Projected, cut
from models.positions import rotate
from models.registry import VARIANTS, variant
from models.transformer import Transformer

LOGITS = [name for name, v in VARIANTS.items() if v.traits.logits]


@dataclass(frozen=True)
class Case:
    """One drawn size: widths, a batch and a length."""

    groups: int
    share: int
    width: int
    batch: int
    length: int
    seed: int

    def heads(self, name: str) -> HeadConfig:
        n_heads = self.groups * self.share
        n_kv_heads = self.groups if variant(name).traits.grouped else n_heads
        return HeadConfig(d_model=n_heads * self.width, n_heads=n_heads, n_kv_heads=n_kv_heads)

    def mixer(self, name: str) -> Mixer:
        """In float64, with every parameter off zeros and ones."""
        torch.manual_seed(self.seed)
        made = variant(name).mixer(self.heads(name))
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return made.double()

    def x(self) -> Tensor:
        torch.manual_seed(self.seed + 1)
        shape = (self.batch, self.length, self.groups * self.share * self.width)
        return torch.randn(shape, dtype=torch.float64)


def turn(x: Tensor, where: Tensor) -> Tensor:
    """Rotary positions where the width allows them."""
    return x if x.shape[-1] % 2 else rotate(x, where, 10000.0)


def projected(mixer: Mixer, x: Tensor, first: int = 0) -> Projected:
    """q, k, v and extras of x with the positions from `first` on."""
    where = torch.arange(first, first + x.shape[1])
    still = not mixer.traits.rotary
    return mixer.place(mixer.project(x), where, (lambda x, where: x) if still else turn)


@st.composite
def cases(draw: st.DrawFn, min_length: int = 1) -> Case:
    """Odd and even widths, grouped heads, and lengths on both sides of the chunk of 64."""
    edges = st.sampled_from([n for n in (1, 2, 63, 64, 65, 128, 129, 140) if n >= min_length])
    groups, share = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Case(
        groups,
        share,
        # A residual stream one wide is no more than a sign to variants that normalise it.
        draw(st.integers(2 if groups * share == 1 else 1, 9)),
        batch=draw(st.integers(1, 3)),
        length=draw(edges | st.integers(min_length, 140)),
        seed=draw(st.integers(0, 1000)),
    )


def near(a: Tensor, b: Tensor, bound: float) -> bool:
    """True if a and b differ by at most `bound` of b's largest entry; never true of NaN."""
    return bool((a - b).abs().max() <= bound * b.abs().max())


few = settings(max_examples=4)
long = example(case=Case(2, 3, 5, batch=2, length=140, seed=0))  # always past two chunks of 64


@few
@pytest.mark.parametrize("name", VARIANTS)
@long
@given(case=cases())
def test_pattern_times_values_is_mix(name: str, case: Case) -> None:
    mixer, x = case.mixer(name), case.x()
    p = projected(mixer, x)
    slow, fast = mixer.pattern(p) @ mixer.values(p), mixer.mix(p)
    assert fast.shape == (*p.q.shape[:3], p.v.shape[-1])
    assert near(slow, fast, 1e-10)
    assert near(mixer.weigh(mixer.scores(p), p), mixer.pattern(p), 1e-12)
    out = mixer.merge(mixer.readout(fast, p))
    assert out.shape == x.shape
    other = projected(mixer, 2 * x + 1)
    other_out = mixer.merge(mixer.readout(mixer.mix(other), other))
    assert not near(other_out, out, 1e-3), "the output must depend on the input"


def gradients(mixer: Mixer, x: Tensor, road: str, weight: Tensor) -> dict[str, Tensor]:
    """Gradients of a random weighting of the merged output, by the slow or the fast road."""
    x = x.clone().requires_grad_()
    p = projected(mixer, x)
    o = mixer.pattern(p) @ mixer.values(p) if road == "pattern" else mixer.mix(p)
    named = {n: w for n, w in mixer.named_parameters() if w.requires_grad}
    loss = (mixer.merge(mixer.readout(o, p)) * weight).sum()
    found = torch.autograd.grad(loss, (x, *named.values()))
    return dict(zip(("x", *named), found, strict=True))


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
        assert (fast[key] - expected).abs().max() <= 1e-9 * top, key


@settings(max_examples=2)
@pytest.mark.parametrize("name", VARIANTS)
@example(case=Case(2, 2, 4, batch=1, length=70, seed=3))
@given(case=cases())
def test_token_by_token_equals_mix(name: str, case: Case) -> None:
    """Decoding sees one token at a time; what it keeps is as large as the cost says."""
    case = replace(case, batch=min(case.batch, 2), length=min(case.length, 80))
    mixer, x = case.mixer(name), case.x()
    expected, state = mixer.mix(projected(mixer, x)), None
    with torch.no_grad():
        for t in range(case.length):
            one = projected(mixer, x[:, t : t + 1], t)
            o, state = mixer.step(one, state)
            scale = expected.abs().max()
            assert (o - expected[:, :, t : t + 1]).abs().max() <= 1e-9 * scale, t
            kept = sum(part[0].numel() for part in state.values())
            assert kept == mixer.cost.cache(t + 1), t


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_float32_stays_close_to_float64_and_bfloat16_finite(name: str, case: Case) -> None:
    exact = case.mixer(name)
    p = projected(exact, case.x())
    for dtype, bound in ((torch.float32, 1e-4), (torch.bfloat16, None)):
        rough = copy.deepcopy(exact).to(dtype)
        # The same inputs to the mix: what projections lose is not the variant's doing.
        low = Projected(
            p.q.to(dtype),
            p.k.to(dtype),
            p.v.to(dtype),
            {n: t.to(dtype) for n, t in p.extra.items()},
        )
        same = Projected(
            low.q.double(), low.k.double(), low.v.double(),
            {n: t.double() for n, t in low.extra.items()},
        )  # fmt: skip
        for out, true in (
            (rough.mix(low), exact.mix(same)),
            (rough.pattern(low), exact.pattern(same)),
        ):
            assert out.dtype == dtype and out.isfinite().all()
            if bound:
                assert near(out.double(), true, bound)


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(min_length=2), data=st.data())
def test_the_future_changes_nothing_before_it(name: str, case: Case, data: st.DataObject) -> None:
    mixer, x = case.mixer(name), case.x()
    t = data.draw(st.integers(1, case.length - 1))
    later = x.clone()
    later[:, t:] = 10 * torch.randn_like(later[:, t:])
    p, changed = projected(mixer, x), projected(mixer, later)
    a, b = mixer.pattern(p), mixer.pattern(changed)
    r = mixer.traits.keys_per_token
    assert a.shape[-1] == r * case.length
    assert a.unflatten(-1, (-1, r)).movedim(-1, 0).triu(1).count_nonzero() == 0
    assert (a - b)[:, :, :t].abs().max() <= 1e-12
    moved = (mixer.mix(p) - mixer.mix(changed)).abs()
    assert moved[:, :, :t].max() <= 1e-12
    assert moved[:, :, t:].max() > 1e-6, "the perturbed positions themselves must change"


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(), row=st.integers(0, 2))
def test_rows_of_a_batch_do_not_see_each_other(name: str, case: Case, row: int) -> None:
    case = replace(case, batch=3)
    mixer, x = case.mixer(name), case.x()
    together, alone = projected(mixer, x), projected(mixer, x[row : row + 1])
    assert near(mixer.mix(together)[row : row + 1], mixer.mix(alone), 1e-12)
    assert near(mixer.pattern(together)[row : row + 1], mixer.pattern(alone), 1e-12)
    assert not near(mixer.mix(together)[row - 1 : row or None], mixer.mix(alone), 1e-3)


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases())
def test_identity_values_read_the_matrix_off(name: str, case: Case) -> None:
    """Values that are columns of the identity, as many at a time as the head is wide."""
    mixer = case.mixer(name)
    p = projected(mixer, case.x())
    a, d = mixer.pattern(p), p.v.shape[-1]
    nothing = replace(p, v=torch.zeros_like(p.v))
    offset, constant = mixer.mix(nothing), mixer.values(nothing)
    eye = torch.eye(a.shape[-1], -(-a.shape[-1] // d) * d, dtype=a.dtype)
    for i in range(0, a.shape[-1], d):
        block = replace(p, v=eye[:, i : i + d].expand_as(p.v).contiguous())
        # Where the values are used as they are, the right-hand side is d columns of A.
        expected = a @ (mixer.values(block) - constant)
        assert near(mixer.mix(block) - offset, expected, 1e-10) or not expected.any()


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(min_length=8))
def test_the_matrix_has_the_traits_it_claims(name: str, case: Case) -> None:
    case = replace(case, width=6, length=max(case.length, 24))
    mixer, traits = case.mixer(name), variant(name).traits
    p = projected(mixer, case.x())
    a = mixer.pattern(p)
    sums = a.sum(-1)
    assert ((sums - 1).abs().max() <= 1e-12) == traits.row_stochastic
    assert (a.min() >= 0) == traits.nonnegative
    assert a.abs().max() > 0
    assert isinstance(mixer, Estimator) != traits.exact
    if traits.sink_slot:
        assert 0 < sums.min() and sums.max() < 1
    # Values do not move the matrix.
    assert torch.equal(mixer.pattern(replace(p, v=-3 * p.v)), a) == traits.linear_in_v
    scores = mixer.scores(p)
    hidden = scores.unflatten(-1, (-1, traits.keys_per_token)).movedim(-1, 0)
    above = hidden[..., *torch.triu_indices(case.length, case.length, 1)]
    assert (above == (-torch.inf if traits.logits else 0)).all()


@few
@pytest.mark.parametrize("name", LOGITS)
@given(case=cases(min_length=3), data=st.data())
def test_minus_infinity_removes_one_key(name: str, case: Case, data: st.DataObject) -> None:
    """Nothing of it is left, and no other key loses by it."""
    mixer = case.mixer(name)
    p = projected(mixer, case.x())
    key, r = data.draw(st.integers(1, case.length - 1)), mixer.traits.keys_per_token
    mine = torch.arange(r * case.length) // r == key  # row 0 has no key but 0
    scores, before = mixer.scores(p), mixer.pattern(p)
    assert before[..., key, mine].abs().amax(-1).min() > 0
    scores[..., key + 1 :, mine] = -torch.inf
    after = mixer.weigh(scores, p)
    assert after.isfinite().all()
    assert not after[..., key + 1 :, mine].any()
    assert (after - before)[..., ~mine].min() >= -1e-12 or not mixer.traits.nonnegative


@few
@pytest.mark.parametrize("name", VARIANTS)
@given(case=cases(min_length=3), data=st.data())
def test_some_rows_are_the_rows_of_all(name: str, case: Case, data: st.DataObject) -> None:
    """Scores take fewer queries than keys: the last queries of all keys."""
    mixer = case.mixer(name)
    p = projected(mixer, case.x())
    first = data.draw(st.integers(0, case.length - 1))
    if not mixer.traits.subquadratic:
        part = cut(p, slice(first, None), slice(None), mixer.traits)
        assert near(mixer.pattern(part), mixer.pattern(p)[:, :, first:], 1e-12)
    early = cut(p, slice(None, first + 1), slice(None, first + 1), mixer.traits)
    wide = (first + 1) * mixer.traits.keys_per_token
    assert near(mixer.pattern(early), mixer.pattern(p)[:, :, : first + 1, :wide], 1e-12)


def attention_flops(q, k, v, *args, out_val=None, **kwargs) -> int:
    """Two products over all T x S pairs, as torch counts every other fused attention."""
    b, h, t, d = q
    return 2 * b * h * t * k[-2] * (d + v[-1])


def solve_flops(a, b, *args, out_val=None, **kwargs) -> int:
    """A triangular solve: half of S² multiplications and additions per column of b."""
    return torch.Size(b).numel() * a[-1]


COUNTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
    torch.ops.aten.linalg_solve_triangular: solve_flops,
}


@pytest.mark.parametrize("sizes", [(4, 2, 8, 128), (2, 1, 6, 192), (6, 6, 4, 64)], ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_cost_is_what_is_counted(name: str, sizes: tuple[int, int, int, int]) -> None:
    """Parameters by counting them, FLOPs by torch's own counter over one layer's forward pass."""
    n_heads, n_kv_heads, width, length = sizes
    n_kv_heads = n_kv_heads if variant(name).traits.grouped else n_heads
    heads = HeadConfig(d_model=n_heads * width, n_heads=n_heads, n_kv_heads=n_kv_heads)
    mixer = variant(name).mixer(heads)
    assert mixer.cost.parameters == sum(w.numel() for w in mixer.parameters())
    x = torch.randn(1, length, heads.d_model)
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        p = projected(mixer, x)
        mixer.merge(mixer.readout(mixer.mix(p), p))
    assert mixer.cost.flops(length) == counter.get_total_flops()


@pytest.mark.parametrize("name", VARIANTS)
def test_it_trains_on_a_copy_task(name: str, build: Callable[..., Transformer]) -> None:
    """Fifty steps on a segment of two random tokens copied over and over, in float32.

    Without its attention a model cannot do better than ln(vocabulary): it sees one random token.
    """
    traits = variant(name).traits
    model = build(
        variant=name,
        n_layers=1,
        positions="rotary" if traits.rotary else "none",
        n_kv_heads=2 if traits.grouped else 4,
    ).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(50):
        tokens = torch.randint(model.config.vocab_size, (16, 2)).repeat(1, 12)
        logits = model(tokens)[:, 1:-1]
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 2:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(w.isfinite().all() for w in model.parameters())
    assert sum(losses[-5:]) / 5 < 0.9 * math.log(model.config.vocab_size) < losses[0], losses


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
