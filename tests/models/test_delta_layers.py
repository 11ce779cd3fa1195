"""Whole layers of the delta family: those that transformers has, and the parts around the rule."""

import pytest
import torch
from torch import Tensor, nn
from transformers import KimiLinearConfig, Qwen3NextConfig
from transformers.models.kimi_linear import modeling_kimi_linear
from transformers.models.qwen3_next import modeling_qwen3_next

from models.attention.contract import Mixer
from tests.models.test_delta_family import LENGTH, make


def without_shift(layer: nn.Module, mixer: Mixer) -> None:
    """Short convolutions that pass the token itself on, and our W_O."""
    layer.conv1d.weight.data.zero_()
    layer.conv1d.weight.data[..., -1] = 1
    out = getattr(layer, "o_proj", None) or layer.out_proj
    out.weight.data = mixer.W_O.flatten(0, 1).T


def rows(weight: Tensor) -> Tensor:
    """One matrix per head [N, E, D] as a linear layer has it, [N * D, E]."""
    return weight.detach().transpose(1, 2).flatten(0, 1)


def agrees(mixer: Mixer, layer: nn.Module) -> None:
    """Same layer; theirs normalises |x|² + 1e-6 where ours normalises |x|²."""
    x = torch.randn(2, LENGTH, 24)
    mixer.float()
    p = mixer.project(x)
    ours, theirs = mixer.merge(mixer.readout(mixer.mix(p), p)), layer(x)
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_gated_delta_is_a_whole_qwen3_next_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    module = modeling_qwen3_next
    # Beside fla, transformers calls fla's compiled kernel, which wants a GPU.
    monkeypatch.setattr(
        module, "torch_chunk_gated_delta_rule", module.torch_chunk_gated_delta_rule.__wrapped__
    )
    mixer, _ = make("gated_delta", n_kv_heads=4)
    config = Qwen3NextConfig(
        hidden_size=24,
        num_hidden_layers=1,
        linear_num_key_heads=4,
        linear_num_value_heads=4,
        linear_key_head_dim=6,
        linear_value_head_dim=6,
    )
    layer = module.Qwen3NextGatedDeltaNet(config, 0)
    each = (mixer.heads.W_Q, mixer.heads.W_K, mixer.heads.W_V, mixer.W_gate)
    layer.in_proj_qkvz.weight.data = rows(torch.cat(each, 2))  # head by head: q, k, v, gate
    both = torch.stack([mixer.W_beta, mixer.W_decay], 1)
    layer.in_proj_ba.weight.data = both.detach().flatten(0, 1)
    layer.A_log.data, layer.dt_bias.data = mixer.rate.data, mixer.b_decay.data
    layer.norm.weight.data = mixer.gain.data
    without_shift(layer, mixer)
    agrees(mixer, layer.float())


def test_kda_is_a_whole_kimi_linear_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    module = modeling_kimi_linear
    monkeypatch.setattr(
        module, "chunk_kimi_delta_attention", module.chunk_kimi_delta_attention.__wrapped__
    )
    mixer, _ = make("kda", n_kv_heads=4)
    config = KimiLinearConfig(hidden_size=24, num_hidden_layers=1)
    config.linear_num_heads, config.linear_head_dim = 4, 6
    layer = module.KimiLinearDeltaAttention(config, 0)
    for name in "qkv":
        weight = getattr(mixer.heads, f"W_{name.upper()}")
        getattr(layer, f"{name}_proj").weight.data = rows(weight)
    layer.b_proj.weight.data = mixer.W_beta.data
    gate = layer.forget_gate
    gate.f_a_proj.weight.data = mixer.W_decay_low.data.T
    gate.f_b_proj.weight.data = rows(mixer.W_decay)
    gate.A_log.data, gate.dt_bias.data = mixer.rate.data, mixer.b_decay.data.flatten()
    gate.A_log.data = gate.A_log.data[None, None, :, None]
    layer.g_a_proj.weight.data = mixer.W_gate_low.data.T
    layer.g_b_proj.weight.data = rows(mixer.W_gate)
    layer.o_norm.weight.data = mixer.gain.data
    without_shift(layer, mixer)
    agrees(mixer, layer.float())


def test_comba_and_delta_product_project_as_gated_delta_does() -> None:
    """The same weights give the same queries, keys, values and decays; β goes up to 2 in one."""
    gated, p = make("gated_delta")
    x = torch.randn(2, LENGTH, 24, dtype=torch.float64)
    p = gated.project(x)
    for name in ("comba", "delta_product"):
        mixer, _ = make(name)
        mixer.load_state_dict(gated.state_dict() | {"W_beta": mixer.W_beta}, strict=False)
        mixer.W_beta.data.view(-1, 2, 24)[:] = gated.W_beta
        r, q = mixer.traits.keys_per_token, mixer.project(x)
        for ours, theirs in ((q.q, p.q), (q.k[:, :, ::r], p.k), (q.v[:, :, ::r], p.v)):
            torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(q.extra["decay"], p.extra["decay"])
        beta = q.extra["beta"].view(2, 2, LENGTH, r)
        torch.testing.assert_close(beta, r * p.extra["beta"][..., None].expand_as(beta))
    assert (q.k[:, :, 1::2] - q.k[:, :, ::2]).abs().max() > 0.1, "each write has its own key"


def test_mesa_projects_keys_as_gated_delta_does_but_values_as_they_are() -> None:
    gated, _ = make("gated_delta")
    mesa, _ = make("mesa")
    mesa.heads.load_state_dict(gated.heads.state_dict())
    x = torch.randn(2, 5, 24, dtype=torch.float64)
    ours, theirs = mesa.project(x), gated.project(x)
    torch.testing.assert_close(ours.q, theirs.q)
    torch.testing.assert_close(ours.k, theirs.k)
    torch.testing.assert_close(nn.functional.silu(ours.v), theirs.v)


@pytest.mark.parametrize(
    ("name", "activation"),
    [("comba", nn.Sigmoid()), ("delta_product", nn.SiLU()), ("mesa", nn.Sigmoid())],
)
def test_the_gate_follows_the_norm(name: str, activation: nn.Module) -> None:
    mixer, _ = make(name)
    x = torch.randn(2, 5, 24, dtype=torch.float64)
    p, o = mixer.project(x), torch.randn(2, 4, 5, 6, dtype=torch.float64)
    norm = nn.RMSNorm(6, eps=1e-5, dtype=torch.float64)
    norm.weight.data = mixer.gain.data
    gate = (x @ mixer.W_gate.transpose(0, 1).flatten(1)).unflatten(-1, (4, 6)).transpose(1, 2)
    torch.testing.assert_close(mixer.readout(o, p), norm(o) * activation(gate))
