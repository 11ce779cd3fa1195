"""Feature maps: what each kernel is, what exponentials survive, how well Performer estimates."""

import math

import pytest
import torch
import torch.nn.functional as F
from fla.modules.feature_map import TaylorFeatureMap
from performer_pytorch.performer_pytorch import (
    causal_linear_attention_noncuda,
    linear_attention,
    softmax_kernel,
)
from torch import Tensor

from models.attention import based, performer
from models.attention.contract import HeadConfig, Mixer, Projected
from models.attention.cosformer import CosFormer
from models.attention.efficient import Efficient
from models.attention.exp_feature import ExpFeature
from models.attention.linear import Linear
from models.attention.norm_attention import NormAttention
from models.attention.one_plus_cos import OnePlusCos
from models.attention.performer import Performer
from models.attention.rebased import ReBased
from models.attention.unnormalised import Unnormalised
from models.kernels.features import normalised, products, softmaxes, softmaxes_mix


def heads(width: int, n: int = 2) -> HeadConfig:
    return HeadConfig(d_model=n * width, n_heads=n, n_kv_heads=n)


def draw(length: int, width: int, scale: float = 1.0, n: int = 2) -> Projected:
    """q and k of that standard deviation, and values."""
    q, k, v = torch.randn(3, 1, n, length, width, dtype=torch.float64)
    return Projected(scale * q, scale * k, v)


def one_head(q: list[list[float]], k: list[list[float]]) -> Projected:
    q, k = (torch.tensor(x, dtype=torch.float64)[None, None] for x in (q, k))
    return Projected(q, k, k)


def still(x: Tensor, where: Tensor) -> Tensor:
    return x


def close(a: Tensor, b: Tensor, bound: float = 1e-12) -> bool:
    return bool((a - b).abs().max() <= bound * b.abs().max())


# Exponential features


@pytest.mark.parametrize("made", [Performer, ExpFeature])
def test_a_mixture_of_softmaxes_is_the_quotient_of_sums(made: type[Mixer]) -> None:
    mixer, p = made(heads(3)).double(), draw(70, 3)
    kernel = (mixer.logs(p.q).exp() @ mixer.logs(p.k).exp().mT).tril()
    assert close(mixer.pattern(p), kernel / kernel.sum(-1, keepdim=True))


def test_efficient_attention_is_a_softmax_over_features_of_softmaxes_over_keys() -> None:
    q = [[0.0, 0.0], [math.log(3), 0.0]]
    k = [[0.0, 0.0], [math.log(4), 0.0]]
    # Feature 0 sees the keys as 1 : 4, feature 1 as 1 : 1; row 1 weighs the features 3 : 1.
    expected = [[1.0, 0.0], [0.75 * 0.2 + 0.25 * 0.5, 0.75 * 0.8 + 0.25 * 0.5]]
    a = Efficient(heads(2, 1)).pattern(one_head(q, k))[0, 0]
    assert close(a, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_exponents_of_thousands_neither_overflow_nor_lose_a_row(dtype: torch.dtype) -> None:
    p = draw(140, 5, scale=1000.0)
    q, k = (x.to(dtype).requires_grad_() for x in (p.q, p.k))
    a = softmaxes(q, k, normalised)
    logits = (q.double()[..., None, :] + k.double()[:, :, None]).logsumexp(-1)
    future = torch.ones(140, 140, dtype=torch.bool).triu(1)
    true = logits.masked_fill(future, -torch.inf).softmax(-1)
    assert (a - true).abs().max() <= (1e-2 if dtype == torch.bfloat16 else 2e-3)
    out = softmaxes_mix(q, k, p.v.to(dtype), normalised)
    assert (out - true @ p.v).abs().max() <= 0.05
    assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum(), (q, k)))


def test_scores_are_the_kernel_up_to_a_factor_per_row_that_keeps_them_finite() -> None:
    mixer = ExpFeature(heads(5)).double()
    p = draw(70, 5, scale=1000.0)
    sums = mixer.scores(p).sum(-1)
    assert 1 - 1e-9 < sums.min() and sums.max() < 20 + 1e-9  # 4 · 5 features
    tame = draw(70, 5)
    kernel = (mixer.logs(tame.q).exp() @ mixer.logs(tame.k).exp().mT).tril()
    factor = mixer.scores(tame)[..., 0] / kernel[..., 0]
    assert close(mixer.scores(tame), factor[..., None] * kernel, 1e-9)


def last_key_times_20(k: Tensor) -> Tensor:
    return torch.cat([k[:, :, :-1], 20 * k[:, :, -1:]], 2)


def test_a_future_key_moves_earlier_rows_of_others_performer_but_not_of_ours() -> None:
    """They divide all keys by the largest, then add a constant to each."""
    mixer, p = Performer(heads(16)).double(), draw(64, 16)
    wild = Projected(p.q, last_key_times_20(p.k), p.v)

    def theirs(p: Projected) -> Tensor:
        q, k = (
            softmax_kernel(x, projection_matrix=mixer.omega, is_query=x is p.q) for x in (p.q, p.k)
        )
        return causal_linear_attention_noncuda(q, k, p.v)

    assert (theirs(p) - theirs(wild))[:, :, :-1].abs().max() > 0.1
    assert torch.equal(mixer.mix(p)[:, :, :-1], mixer.mix(wild)[:, :, :-1])
    assert torch.equal(mixer.pattern(p)[:, :, :-1], mixer.pattern(wild)[:, :, :-1])


def test_without_the_mask_performer_is_performer_pytorch() -> None:
    mixer, p = Performer(heads(16)).double(), draw(40, 16)
    q, k = (
        softmax_kernel(x, projection_matrix=mixer.omega, is_query=is_query, eps=0.0)
        for x, is_query in ((p.q, True), (p.k, False))
    )
    kernel = mixer.logs(p.q).exp() @ mixer.logs(p.k).exp().mT
    assert close(kernel / kernel.sum(-1, keepdim=True) @ p.v, linear_attention(q, k, p.v))


# Performer as an estimate of softmax


def test_performers_error_falls_slowly_with_the_number_of_directions() -> None:
    p = draw(128, 16, scale=0.7, n=4)
    found = {}
    for ratio in (1, 4, 16, 64):
        mixers = [Performer(heads(16, 4), ratio=ratio).double() for _ in range(5)]
        found[16 * ratio] = sum(float(m.relative_error(p).mean()) for m in mixers) / 5
    errors = list(found.values())
    assert errors == sorted(errors, reverse=True)
    assert 0.4 < found[16] < 1
    # Were it a mean of tame numbers, 64 times as many directions would divide it by 8.
    assert found[1024] > found[16] / 6


def test_the_error_of_an_estimate_is_the_one_of_theory() -> None:
    """(exp(|q+k|²) - 1) / m on average, if directions are independent."""
    mixer, p = Performer(heads(4, 1), ratio=16).double(), draw(6, 4, scale=0.35, n=1)
    found = []
    for _ in range(400):
        mixer.omega = torch.randn(64, 4).double()
        found.append(mixer.measured_error(p))
    ratio = torch.stack(found).mean(0) / mixer.expected_error(p)
    assert 0.9 < ratio.mean() < 1.1
    assert 0.6 < ratio.min() and ratio.max() < 1.6


def test_orthogonal_directions_are_unbiased_and_better_than_independent_ones() -> None:
    mixer, p = Performer(heads(4, 1)).double(), draw(6, 4, scale=0.35, n=1)
    mixer.omega = performer.directions(80000, 4).double()
    logs = mixer.logs(p.q)[0, 0, :, None] + mixer.logs(p.k)[0, 0]
    relative = (logs - (p.q @ p.k.mT)[0, 0, ..., None] / 2).exp()
    assert (relative.mean(-1) - 1).abs().max() < 0.03
    blocks = relative.unflatten(-1, (-1, 4)).mean(-1)  # 20000 estimates from four directions each
    mixer.omega = mixer.omega[:4]
    expected = mixer.expected_error(p)[0, 0]
    assert 0.85 < ((blocks - 1).square().mean(-1) / expected).mean() < 0.97


def test_directions_are_orthogonal_as_long_as_normal_ones_and_favour_no_side() -> None:
    omega = performer.directions(24, 8)
    for block in omega.split(8):
        gram = block @ block.mT
        assert (gram - gram.diagonal().diag()).abs().max() <= 1e-5 * gram.max()
    many = torch.stack([performer.directions(8, 8) for _ in range(1000)])
    assert (many.square().sum(-1).mean() - 8).abs() < 0.3
    # A bare QR fails this: its corner always has one sign.
    assert many.mean(0).abs().max() < 5 * 1000**-0.5


# Kernels with a closed form


def test_cosformer_multiplies_relu_features_by_the_cosine_of_the_lag() -> None:
    mixer, p = CosFormer(heads(4), reach=64), draw(60, 4)
    where = torch.arange(60)
    s = mixer.scores(mixer.place(p, where, still))
    cosine = (math.pi / 128 * (where[:, None] - where)).cos()
    expected = (p.q.relu() @ p.k.relu().mT * cosine).tril()
    assert close(s, expected, 1e-5)  # the floor of 1e-6 under the ReLU
    early, late = (mixer.pattern(mixer.place(p, where + by, still)) for by in (0, 3))
    assert close(early, late, 1e-11), "only lags count"


def test_cosformer_keeps_rows_that_meet_no_feature_and_refuses_what_it_cannot_weigh() -> None:
    mixer = CosFormer(heads(2, 1), reach=8)
    p = mixer.place(one_head([[-1.0, 1.0], [-1.0, -2.0]], [[1.0, -1.0], [3.0, -1.0]]),
                    torch.arange(2), still)  # fmt: skip
    nearer = 3 / math.cos(math.pi / 16)
    expected = torch.tensor([[1.0, 0.0], [1 / (1 + nearer), nearer / (1 + nearer)]]).double()
    assert close(mixer.pattern(p)[0, 0], expected, 1e-5)
    with pytest.raises(ValueError, match="weighs 8 tokens, got position 8"):
        mixer.place(draw(9, 2, n=1), torch.arange(9), still)


def test_one_plus_cos_by_hand_and_whatever_the_lengths() -> None:
    keys = [[2.0, 0.0], [0.0, 3.0], [-1.0, 1.0]]
    p = one_head([[1.0, 0.0]] * 3, keys)
    mixer = OnePlusCos(heads(2, 1))
    kernel = torch.tensor([2.0, 1.0, 1 - 0.5**0.5], dtype=torch.float64)
    assert close(mixer.pattern(p)[0, 0, -1], kernel / kernel.sum(), 1e-5)
    longer = Projected(5 * p.q, 0.1 * p.k, p.v)
    assert close(mixer.mix(longer), mixer.mix(p))
    opposite = one_head([[1.0, 0.0]] * 2, [[-1.0, 0.0], [-7.0, 0.0]])
    assert close(mixer.mix(opposite)[0, 0, 1], opposite.v[0, 0].mean(0))


def test_products_and_taylor_features_are_fla_s_up_to_order() -> None:
    p = draw(20, 6)
    z = p.q @ p.k.mT
    assert close(products(p.q) @ products(p.k).mT, z.square())
    assert products(p.q).shape[-1] == 6 * 7 // 2
    theirs = TaylorFeatureMap(6)
    s = based.feature(p.q * 6**-0.5) @ based.feature(p.k).mT
    assert close(s, theirs(p.q) @ theirs(p.k).mT)
    assert close(s, 1 + z / 6**0.5 + z.square() / 12)


def test_based_is_softmax_where_logits_are_small() -> None:
    """Wrong by z³/6 at most."""
    p = draw(30, 4, scale=0.3)
    z = p.q @ p.k.mT / 2
    softmax = z.masked_fill(torch.ones(30, 30).triu(1).bool(), -torch.inf).softmax(-1)
    error = (based.Based(heads(4)).pattern(p) / softmax - 1).tril().abs().max()
    assert error < z.abs().max() ** 3 / 2
    assert based.Based(heads(4)).scores(draw(30, 4, scale=5.0)).tril().max() > 10


def test_rebased_ignores_an_orthogonal_key_and_reads_opposite_ones_alike() -> None:
    p = one_head([[1.0, 0.0]] * 3, [[0.0, 5.0], [-2.0, 1.0], [2.0, 3.0]])
    row = ReBased(heads(2, 1)).pattern(p)[0, 0, -1]
    assert close(row, torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64))


def test_unnormalised_attention_is_linear_in_q_and_in_k() -> None:
    mixer, p = Unnormalised(heads(4)), draw(70, 4)
    other = torch.randn_like(p.k)
    both = mixer.mix(Projected(3 * p.q, p.k + other, p.v))
    assert close(both, 3 * (mixer.mix(p) + mixer.mix(Projected(p.q, other, p.v))))
    two = one_head([[0.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [0.0, -1.0]])
    by_hand = torch.tensor([[4.0, 0.0], [11.0, -4.0]], dtype=torch.float64) / 2**0.5
    assert close(Unnormalised(heads(2, 1)).pattern(two)[0, 0], by_hand)


# NormAttention


def test_the_norm_takes_the_place_of_the_denominator() -> None:
    """A row's scale does not matter, and A / rms is the row that acts on v."""
    mixer, p = NormAttention(heads(6)), draw(70, 6)
    o = mixer.mix(p)
    z = mixer.readout(o, p)
    assert close(z.square().mean((1, 3)), torch.ones(1, 70).double(), 1e-3)
    assert close(mixer.readout(1e3 * o, p), z, 1e-3)
    rms = (o.square().mean((1, 3), keepdim=True) + 1e-6).sqrt()
    assert close((mixer.pattern(p) / rms) @ p.v, z)


# Concentration of rows, S = E|a| / √E a² (kexue 9889): 1 is even, small is peaked


@pytest.mark.parametrize(
    ("made", "expected"),
    [(Unnormalised, (2 / math.pi) ** 0.5), (Linear, 0.995), (ExpFeature, 0.968)],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_rows_of_feature_maps_are_hardly_concentrated(made: type[Mixer], expected: float) -> None:
    """Random q and k of width 64: nothing falls below the √(2/π) of the identity kernel."""
    mixer, p = made(heads(64, 4)), draw(1024, 64, n=4)
    if made is ExpFeature:
        mixer.W_phi.data = torch.eye(64).expand(4, 64, 64).clone()
    rows = mixer.double().scores(p)[:, :, -64:, :960].abs()
    s = rows.mean(-1) / rows.square().mean(-1).sqrt()
    assert (s.mean() - expected).abs() < 0.01


def test_softmax_rows_are_more_concentrated_than_all_of_them() -> None:
    p = draw(1024, 64)
    rows = (p.q @ p.k.mT / 8).exp()
    s = rows.mean(-1) / rows.square().mean(-1).sqrt()
    assert (s.mean() - 0.61).abs() < 0.02
    assert F.cosine_similarity(rows, torch.ones_like(rows), dim=-1).allclose(s)
