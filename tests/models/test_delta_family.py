"""Delta rules with decay: how they contain each other, long and strong decays, small cases."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from fla.ops.comba.naive import naive_recurrent_comba
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected
from models.kernels.dplr import gated_step
from models.registry import variant
from tests.models.references import repeated, sequence_first
from tests.models.references.delta_family import comba as chunked_comba

FAMILY = ["gated_delta", "comba", "delta_product", "kda", "rwkv7", "mesa"]
LENGTH = 70  # past a chunk of 64, and no multiple of 16


def make(name: str, n_kv_heads: int = 2, length: int = LENGTH) -> tuple[Mixer, Projected]:
    """Four heads of width 6 in float64, parameters off their start, and what they project."""
    heads = HeadConfig(d_model=24, n_heads=4, n_kv_heads=n_kv_heads)
    mixer = variant(name).mixer(heads).double()
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    with torch.no_grad():
        return mixer, mixer.project(torch.randn(2, length, 24, dtype=torch.float64))


def with_extra(p: Projected, **extra: Tensor) -> Projected:
    return replace(p, extra={**p.extra, **extra})


def same(a: Mixer, p: Projected, b: Mixer, q: Projected) -> None:
    """Two mixers apply the same matrix, by both roads."""
    torch.testing.assert_close(a.pattern(p), b.pattern(q))
    torch.testing.assert_close(a.mix(p), b.mix(q))


def by_steps(mixer: Mixer, p: Projected) -> Tensor:
    """The recurrence, one token after the other."""
    state, out, r = None, [], mixer.traits.keys_per_token
    for t in range(p.q.shape[2]):
        now, rows = slice(t, t + 1), slice(r * t, r * t + r)
        extra = {name: x[:, :, now] for name, x in p.extra.items()}
        one = Projected(p.q[:, :, now], p.k[:, :, rows], p.v[:, :, rows], extra)
        o, state = mixer.step(one, state)
        out.append(o)
    return torch.cat(out, 2)


def single(p: Projected) -> Projected:
    """The same numbers in float32."""
    extra = {name: x.float() for name, x in p.extra.items()}
    return Projected(p.q.float(), p.k.float(), p.v.float(), extra)


def test_gated_delta_without_decay_is_delta() -> None:
    (gated, p), (delta, _) = make("gated_delta"), make("delta")
    still = with_extra(p, decay=torch.zeros_like(p.extra["decay"]))
    same(gated, still, delta, p)
    assert (gated.mix(p) - delta.mix(p)).abs().max() > 1e-2


def test_kda_with_one_decay_for_all_channels_is_gated_delta() -> None:
    (kda, _), (gated, p) = make("kda"), make("gated_delta")
    decay = p.extra["decay"][..., None].expand_as(p.k)
    same(kda, with_extra(p, decay=decay), gated, p)


def test_comba_and_gated_delta_write_the_same_rule_in_two_ways() -> None:
    """γ = α, η = α β and v / α (kexue 11033, eq. 19), where Comba's two corrections are off."""
    (comba, _), (gated, p) = make("comba"), make("gated_delta")
    comba.feedback.data.fill_(50)
    comba.correction.data.zero_()
    alpha = p.extra["decay"].exp()
    q = replace(with_extra(p, beta=alpha * p.extra["beta"]), v=p.v / alpha[..., None])
    torch.testing.assert_close(comba.mix(q), gated.mix(p))
    torch.testing.assert_close(comba.pattern(q) / alpha[:, [0, 0, 1, 1], None], gated.pattern(p))


def test_comba_reads_before_it_fades() -> None:
    """fla's token-by-token Comba reads after: it agrees once its reading keys grow by 1/α."""
    mixer, p = make("comba", n_kv_heads=4)
    q, k, v = repeated(p)
    read = mixer.feedback.sigmoid()[:, None, None] * k
    grown = read / p.extra["decay"].exp()[..., None]
    q = q - mixer.correction[:, None, None] * k
    beta, g = sequence_first(p.extra["beta"], p.extra["decay"])
    theirs, later = (
        naive_recurrent_comba(*sequence_first(q, k, v, x), beta, g)[0].transpose(1, 2)
        for x in (grown, read)
    )
    torch.testing.assert_close(mixer.mix(p).float(), theirs, rtol=1e-4, atol=1e-5)
    assert (chunked_comba(mixer, p) - later).abs().max() > 1e-2


def test_rwkv7_contains_kda() -> None:
    """Removing along α ⊙ k at a rate of β / α, writing β k: the transition of KDA."""
    (rwkv7, _), (kda, p) = make("rwkv7"), make("kda")
    alpha, beta = p.extra["decay"].exp(), p.extra["beta"][..., None]
    q = Projected(
        p.q * p.q.shape[-1] ** -0.5,
        beta * p.k,
        p.v,
        {"decay": p.extra["decay"], "removal": alpha * p.k, "rate": beta / alpha},
    )
    torch.testing.assert_close(rwkv7.mix(q), kda.mix(p))
    torch.testing.assert_close(rwkv7.pattern(q), kda.pattern(p))


def test_delta_product_is_gated_delta_over_all_writes() -> None:
    """A token's first write fades, its second does not; only the row of the second is read."""
    (product, p), (gated, _) = make("delta_product"), make("gated_delta")
    decay = torch.stack([p.extra["decay"], torch.zeros_like(p.extra["decay"])], -1).flatten(2)
    every = replace(p, q=p.q.repeat_interleave(2, 2), extra={"decay": decay})
    every = with_extra(every, beta=p.extra["beta"].flatten(2))
    torch.testing.assert_close(product.pattern(p), gated.pattern(every)[:, :, 1::2])
    torch.testing.assert_close(product.mix(p), gated.mix(every)[:, :, 1::2])
    assert p.extra["beta"].max() > 1.1, "writes may reflect"


@pytest.mark.parametrize("name", FAMILY)
def test_long_float32_mix_is_the_float64_recurrence(name: str) -> None:
    mixer, p = make(name, length=1024)
    with torch.no_grad():
        exact = by_steps(mixer, p)
        rough = mixer.float().mix(single(p))
    assert (rough - exact).abs().max() <= 1e-4 * exact.abs().max()


@pytest.mark.parametrize("name", FAMILY)
def test_strong_decay_neither_overflows_nor_drowns_what_follows(name: str) -> None:
    """Some tokens keep exp(-3000) of the memory, those between them nearly all of it."""
    mixer, p = make(name)
    decay = -1e-3 * torch.rand_like(p.extra["decay"])
    decay[torch.rand_like(decay) < 0.05] = -3000
    p = with_extra(p, decay=decay)
    with torch.no_grad():
        exact = by_steps(mixer, p)
    rough = single(p)
    rough.k.requires_grad_()
    for road in (mixer.float().mix(rough), mixer.pattern(rough) @ mixer.values(rough)):
        assert (road - exact).abs().max() <= 1e-5 * exact.abs().max()
        (grad,) = torch.autograd.grad(road.square().sum(), rough.k)
        assert grad.isfinite().all() and grad.abs().max() > 0


def state_after(strength: float) -> float:
    """Size of the memory after 200 writes of nothing along one unit key, β = strength."""
    k = F.normalize(torch.randn(4, dtype=torch.float64), dim=0).expand(1, 1, 200, 4)
    beta = torch.full((1, 1, 200), strength, dtype=torch.float64)
    start = {"memory": torch.ones(1, 1, 4, 3, dtype=torch.float64)}
    v = torch.zeros(1, 1, 200, 3, dtype=torch.float64)
    _, state = gated_step(k[:, :, :1], k, v, k, beta, torch.zeros_like(beta), start)
    return float(state["memory"].norm() / start["memory"].norm())


def test_unit_keys_are_stable_up_to_a_write_strength_of_two() -> None:
    assert state_after(1.99) <= 1 and state_after(0.5) <= 1
    assert state_after(2.05) > 1e3


def test_two_reflections_are_a_rotation() -> None:
    """β = 2 along e_0 and then along an angle of π/8 turns the memory by π/4."""
    angle = torch.tensor([0, torch.pi / 8, torch.pi / 4], dtype=torch.float64)
    k = torch.stack([angle.cos(), angle.sin()], -1)[None, None]
    beta, nothing = torch.full((1, 1, 2), 2.0, dtype=torch.float64), torch.zeros_like(k[:, :, :2])
    start = {"memory": torch.eye(2, dtype=torch.float64)[None, None]}
    one, two = k[:, :, :1], k[:, :, :2]
    _, state = gated_step(one, two, nothing, two, beta, torch.zeros_like(beta), start)
    c, s = k[0, 0, 2]
    torch.testing.assert_close(state["memory"][0, 0], torch.stack([c, -s, s, c]).view(2, 2))


def test_a_second_write_to_a_key_replaces_the_first_and_decay_halves_the_rest() -> None:
    """Two axes are written, then the first again, each time with β = 1 and α = 1/2."""
    mixer = variant("gated_delta").mixer(HeadConfig(d_model=2, n_heads=1, n_kv_heads=1)).double()
    axes = torch.eye(2, dtype=torch.float64)
    k = axes[[0, 1, 0]][None, None]
    ones = torch.ones(1, 1, 3, dtype=torch.float64)
    extra = {"beta": ones, "decay": ones * torch.tensor(0.5).log()}
    read = [mixer.pattern(Projected(axes[i].expand_as(k), k, k, extra)) for i in (0, 1)]
    a = torch.stack(read)[:, 0, 0] * 2**0.5
    assert a[0, 2].tolist() == pytest.approx([0, 0, 1])  # the first value is gone
    assert a[1, 2].tolist() == pytest.approx([0, 0.5, 0])
    assert a[0, 1].tolist() == pytest.approx([0.5, 0, 0])


def test_mesa_is_ridge_regression_of_values_on_keys() -> None:
    """Without decay: least squares over the past, with rows of √Λ for the penalty."""
    mixer, p = make("mesa", n_kv_heads=4)
    p = with_extra(p, decay=torch.zeros_like(p.extra["decay"]))
    row = 40
    root = p.extra["beta"][:, :, : row + 1, None].sqrt()
    penalty = mixer.penalty.detach().sqrt().diag_embed().expand(2, -1, -1, -1)
    rows = torch.cat([root * p.k[:, :, : row + 1], penalty], 2)
    goals = F.pad(root * p.v[:, :, : row + 1], (0, 0, 0, 6))
    fit = torch.linalg.lstsq(rows, goals).solution
    expected = (p.q[:, :, row, None] @ fit)[:, :, 0]
    torch.testing.assert_close(mixer.mix(p)[:, :, row], expected)


def test_mesa_under_a_large_penalty_is_linear_attention() -> None:
    mixer, p = make("mesa")
    mixer.ridge.data.fill_(1e6)
    linear = variant("simple_gla").mixer(mixer.config).double()
    written = replace(p, q=p.q * 6**0.5 / 1e6, k=p.extra["beta"][..., None] * p.k)
    ours, theirs = mixer.mix(p), linear.mix(written)
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
