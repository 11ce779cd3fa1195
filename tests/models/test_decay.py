"""Linear attention that forgets: closed forms, strong decays, long sequences, identities."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected
from models.kernels.decay import (
    decay_matrix,
    scalar_decay_mix,
    scalar_decay_scores,
    vector_decay_mix,
    vector_decay_scores,
)
from models.kernels.linear import linear_mix
from models.registry import variant


def draw(length: int, decay: str, seed: int = 0, strength: float = 1.0) -> tuple[Tensor, ...]:
    """q of four heads, k, v and log decays of two, in float64."""
    torch.manual_seed(seed)
    q = torch.randn(1, 4, length, 6, dtype=torch.float64)
    k, v = torch.randn(2, 1, 2, length, 6, dtype=torch.float64)
    g = -strength * torch.rand(1, 2, length, 6, dtype=torch.float64)
    return q, k, v, g if decay == "vector" else g[..., 0]


def recurrence(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Token by token, as the papers write it."""
    k, v, g = (x.repeat_interleave(2, 1) for x in (k, v, g))
    memory, out = torch.zeros_like(k[:, :, 0, :, None] * v[:, :, 0, None]), []
    for t in range(q.shape[2]):
        kept = g[:, :, t].exp().reshape(*g.shape[:2], -1, 1)
        memory = kept * memory + k[:, :, t, :, None] * v[:, :, t, None]
        out.append((q[:, :, t, :, None] * memory).sum(-2))
    return torch.stack(out, 2)


MIX = {"scalar": scalar_decay_mix, "vector": vector_decay_mix}
SCORES = {"scalar": scalar_decay_scores, "vector": vector_decay_scores}
both = pytest.mark.parametrize("decay", MIX)


def make(name: str, n_heads: int = 4, width: int = 6, **options: int) -> Mixer:
    """A mixer in float64, with its parameters as they start."""
    heads = HeadConfig(d_model=n_heads * width, n_heads=n_heads, n_kv_heads=n_heads)
    return variant(name).mixer(heads, **options).double()


def project(mixer: Mixer, length: int) -> Projected:
    x = torch.randn(2, length, mixer.config.d_model, dtype=torch.float64)
    return mixer.place(mixer.project(x), torch.arange(length), lambda x, where: x)


@both
def test_the_closed_form_is_what_identity_values_read_off(decay: str) -> None:
    q, k, _, g = draw(70, decay)
    eye = torch.eye(70, dtype=q.dtype).expand(1, 2, -1, -1)
    read = MIX[decay](q, k, eye, g)
    c = (g if g.ndim == 4 else g[..., None]).cumsum(2).repeat_interleave(2, 1)
    fade = (c[:, :, :, None] - c[:, :, None]).exp()  # [B, H, T, S, D]
    keys = k.repeat_interleave(2, 1)
    closed = (q[:, :, :, None] * keys[:, :, None] * fade).sum(-1).tril()
    torch.testing.assert_close(read, closed, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(SCORES[decay](q, k, g), closed, rtol=1e-10, atol=1e-10)


@both
def test_strong_decay_is_finite_and_right(decay: str) -> None:
    """Tokens that wipe the memory stand between tokens that keep nearly all of it."""
    *rest, g = draw(130, decay, strength=0.02)
    g[:, :, ::7] = -800.0  # exp(800) is infinite even in float64
    g[:, :, 3::7] = -30.0
    exact = recurrence(*rest, g)
    low = [x.float().requires_grad_() for x in (*rest, g)]
    q, k, v, g32 = low
    for road in (MIX[decay](q, k, v, g32), SCORES[decay](q, k, g32) @ v.repeat_interleave(2, 1)):
        assert (road.double() - exact).abs().max() < 1e-5 * exact.abs().max()
        for gradient in torch.autograd.grad(road.square().sum(), low):
            assert gradient.isfinite().all() and gradient.any()


@both
def test_float32_is_still_right_after_two_thousand_tokens(decay: str) -> None:
    """Log decays add up to hundreds, differences of which would have lost four digits."""
    q, k, v, g = draw(2048, decay, strength=0.5)
    exact = recurrence(q, k, v, g)
    low = [x.float() for x in (q, k, v, g)]
    same = recurrence(*(x.double() for x in low))
    for road in (
        MIX[decay](*low),
        SCORES[decay](low[0], low[1], low[3]) @ low[2].repeat_interleave(2, 1),
    ):
        assert (road.double() - same).abs().max() < 2e-6 * exact.abs().max()


def test_many_small_logarithms_are_not_lost_in_bfloat16() -> None:
    g = torch.full((1024,), -1 / 1024, dtype=torch.bfloat16)
    torch.testing.assert_close(decay_matrix(g)[-1, 0].log(), torch.tensor(-1023 / 1024))


@both
def test_without_decay_it_is_linear_attention(decay: str) -> None:
    q, k, v, g = draw(70, decay)
    torch.testing.assert_close(MIX[decay](q, k, v, 0 * g), linear_mix(q, k, v))


def test_equal_channels_make_a_vector_a_scalar() -> None:
    q, k, v, g = draw(70, "scalar")
    wide = g[..., None].expand_as(k)
    torch.testing.assert_close(vector_decay_mix(q, k, v, wide), scalar_decay_mix(q, k, v, g))


def columns_of_ones(mixer: Mixer, length: int) -> Tensor:
    """The matrix for queries and keys of ones: nothing but scale and decay, [H, T, S]."""
    p = project(mixer, length)
    ones = torch.ones_like(p.q)
    return mixer.pattern(Projected(ones, ones, p.v, p.extra))[0]


def test_retnet_heads_keep_what_the_paper_says() -> None:
    a = columns_of_ones(make("retnet"), 3)
    gamma = torch.tensor([31 / 32, 63 / 64, 127 / 128, 255 / 256], dtype=a.dtype)
    torch.testing.assert_close(a[:, 1, 0] / a[:, 0, 0], gamma)
    torch.testing.assert_close(a[:, 2, 0] / a[:, 0, 0], gamma**2)
    torch.testing.assert_close(a[:, 0, 0], torch.full((4,), 6**0.5, dtype=a.dtype))


def test_lightning_slopes_are_those_of_alibi() -> None:
    a = columns_of_ones(make("lightning", n_heads=8), 3)
    slopes = 0.5 ** torch.arange(1, 9, dtype=a.dtype)  # 1/2 to 1/256 for eight heads
    torch.testing.assert_close(a[:, 2, 0].log() - a[:, 2, 2].log(), -2 * slopes)
    torch.testing.assert_close(a[:, 0, 0], torch.full((8,), 6.0, dtype=a.dtype))


def test_a_norm_after_the_mix_only_scales_rows_of_the_matrix() -> None:
    """A / rms is the row that a head applies; lightning's heads share one rms per token."""
    for name, axes, eps in (("retnet", (-1,), 1e-5), ("lightning", (1, -1), 1e-6)):
        mixer = make(name)
        p = project(mixer, 9)
        o = mixer.mix(p)
        rms = (o.square().mean(axes, keepdim=True) + eps).sqrt()
        z = p.extra["gate"] * ((mixer.pattern(p) / rms) @ mixer.values(p))
        torch.testing.assert_close(mixer.readout(o, p), z)


def test_gla_with_one_decay_per_head_is_simple_gla() -> None:
    gla, simple = make("gla"), make("simple_gla")
    p = project(gla, 40)
    decay = p.extra["decay"][..., 0]
    one = Projected(p.q, p.k, p.v, p.extra | {"decay": decay[..., None].expand_as(p.k)})
    torch.testing.assert_close(
        gla.pattern(one), simple.pattern(Projected(p.q, p.k, p.v, {"decay": decay}))
    )


def test_rwkv6_reads_before_it_fades() -> None:
    """The matrix is GLA's moved by one token, with a learned bonus on the diagonal."""
    mixer = make("rwkv6")
    mixer.bonus.data.normal_()
    p = project(mixer, 20)
    a = mixer.pattern(p)
    own = (p.q * mixer.bonus[:, None] * p.k).sum(-1)
    last = (p.q[:, :, 1:] * p.k[:, :, :-1]).sum(-1)
    before_last = (p.q[:, :, 2:] * p.extra["decay"][:, :, 1:-1].exp() * p.k[:, :, :-2]).sum(-1)
    for lag, expected in enumerate((own, last, before_last)):
        torch.testing.assert_close(a.diagonal(-lag, -2, -1), expected)


def test_mamba2_skip_is_on_the_diagonal() -> None:
    mixer = make("mamba2")
    mixer.D.data.normal_()
    p = project(mixer, 20)
    with_skip = mixer.pattern(p)
    skip = mixer.D.detach().clone()
    mixer.D.data.zero_()
    difference = with_skip - mixer.pattern(p)
    assert difference.flatten(0, 1)[..., ~torch.eye(20, dtype=torch.bool)].abs().max() == 0
    torch.testing.assert_close(difference.diagonal(0, -2, -1), skip[:, None].expand(2, 4, 20))


def test_mamba2_writes_and_forgets_by_its_step() -> None:
    """Doubling dt doubles what a token writes and squares what it leaves of the memory."""
    mixer = make("mamba2")
    mixer.D.data.zero_()
    p = project(mixer, 2)
    twice = Projected(p.q, p.k, p.v, p.extra | {n: 2 * p.extra[n] for n in ("dt", "decay")})
    a, b = mixer.pattern(p), mixer.pattern(twice)
    torch.testing.assert_close(b.diagonal(0, -2, -1), 2 * a.diagonal(0, -2, -1))
    left = (-mixer.A_log.exp()[:, None] * p.extra["dt"])[..., 1].exp()
    torch.testing.assert_close(b[..., 1, 0], 2 * a[..., 1, 0] * left)


def test_mamba2_heads_of_a_group_share_keys_and_norm() -> None:
    mixer = make("mamba2", n_groups=2)
    p = project(mixer, 5)
    for shared in (p.q, p.k):
        assert torch.equal(shared[:, 0], shared[:, 1])
        assert not torch.equal(shared[:, 1], shared[:, 2])
    o = mixer.mix(p)
    louder = o.clone()
    louder[:, 3] *= 10
    same = (mixer.readout(louder, p) - mixer.readout(o, p)).abs().amax((0, 2, 3)) < 1e-12
    assert same.tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="n_heads=4 is not a multiple of n_groups=3"):
        make("mamba2", n_groups=3)


def test_mamba2_starts_with_the_published_step_widths() -> None:
    torch.manual_seed(0)
    dt = F.softplus(make("mamba2", n_heads=64, width=1).b_dt)
    assert 0.001 <= dt.min() < 0.002 and 0.05 < dt.max() <= 0.1
