"""flash-linear-attention's recurrences and transformers' layers for what forgets as it reads.

Their layers get our weights; decays, gates and norms are computed here with torch's own functions.
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from fla.ops.gla.naive import naive_recurrent_gla
from fla.ops.retention.naive import naive_retention
from fla.ops.rwkv6.recurrent_naive import naive_recurrent_rwkv6
from fla.ops.simple_gla.naive import naive_parallel_simple_gla
from torch import Tensor
from torch.func import functional_call
from transformers.models.mamba2.configuration_mamba2 import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer
from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextRMSNormGated

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, each, repeated, sequence_first


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [B, T, E] through weight [N, E, D] by torch's linear layer, [B, N, T, D]."""
    flat = F.linear(x, weight.mT.flatten(0, 1), None if bias is None else bias.flatten())
    return flat.unflatten(-1, weight.shape[::2]).transpose(1, 2)


def out(mixer: Mixer, z: Tensor) -> Tensor:
    """z [B, H, T, D] through the output weights, as one matrix."""
    return z.transpose(1, 2).flatten(2) @ mixer.W_O.flatten(0, 1)


def plain(mixer: Mixer, x: Tensor) -> Projected:
    """q, k and v alone."""
    return Projected(*(linear(x, w) for w in (mixer.heads.W_Q, mixer.heads.W_K, mixer.heads.W_V)))


def swish_gated(mixer: Mixer, x: Tensor, o: Tensor) -> Tensor:
    """Qwen3-Next's norm and gate, those of fla's layers too; RetNet has neither gain nor bias."""
    norm = Qwen3NextRMSNormGated(o.shape[-1], eps=1e-5)
    gain = getattr(mixer, "gain", torch.ones(o.shape[-1], dtype=o.dtype))
    gate = linear(x, mixer.W_gate, getattr(mixer, "b_gate", None))
    return out(mixer, functional_call(norm, {"weight": gain}, (o, gate)))


def retention_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """fla's retention, norm, gate and output."""
    return swish_gated(mixer, x, naive_retention(*repeated(plain(mixer, x))))


def fla_simple_gla(mixer: Mixer, p: Projected, decay: Tensor) -> tuple[Tensor, Tensor]:
    """Output and matrix of fla's simple GLA."""
    o, matrix = naive_parallel_simple_gla(*sequence_first(*repeated(p), each(decay, p)))
    return o.transpose(1, 2).to(p.q.dtype), matrix  # theirs stay in float32


def simple_gla_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """The same from x on, with the decay of fla's layer."""
    decay = F.logsigmoid(F.linear(x, mixer.W_decay, mixer.b_decay)).mT / 16
    return out(mixer, fla_simple_gla(mixer, plain(mixer, x), decay)[0])


def fla_gla(mixer: Mixer, p: Projected, decay: Tensor) -> Tensor:
    """fla's GLA, token by token."""
    o, _ = naive_recurrent_gla(*sequence_first(*repeated(p), each(decay, p)))
    return o.transpose(1, 2)


def gla_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """The same from x on, with the decay of fla's layer."""
    decay = F.logsigmoid(linear(x @ mixer.W_low, mixer.W_decay, mixer.b_decay)) / 16
    return swish_gated(mixer, x, fla_gla(mixer, plain(mixer, x), decay))


def fla_rwkv6(mixer: Mixer, p: Projected, decay: Tensor) -> Tensor:
    """fla's RWKV-6, token by token."""
    bonus = each(mixer.bonus[None], p)[0]
    return naive_recurrent_rwkv6(*repeated(p), each(decay, p), bonus, scale=1.0)[0]


def rwkv6_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """The same from x on, with torch's group norm over the heads of each token."""
    decay = -torch.exp(linear(torch.tanh(x @ mixer.W_low), mixer.W_decay, mixer.b_decay))
    o = fla_rwkv6(mixer, plain(mixer, x), decay)
    rows = o.transpose(1, 2).flatten(0, 1).flatten(1)  # [B T, H D]
    gain, bias = mixer.gain.flatten(), mixer.bias.flatten()
    normed = F.group_norm(rows, o.shape[1], gain, bias, eps=64e-5)
    z = normed.unflatten(0, x.shape[:2]).unflatten(-1, o.shape[1::2]).transpose(1, 2)
    return out(mixer, z * F.silu(linear(x, mixer.W_gate)))


def minimax(mixer: Mixer, x: Tensor) -> Tensor:
    """transformers' whole layer; its second of 100,001 layers has exactly our slopes."""
    n_heads, _, d_head = mixer.W_gate.shape
    config = SimpleNamespace(
        hidden_size=x.shape[-1],
        num_attention_heads=n_heads,
        head_dim=d_head,
        num_hidden_layers=100_001,
        block_size=32,
        hidden_act="silu",
        layer_types=["linear_attention"] * 2,
    )
    shared = n_heads // len(mixer.heads.W_K)
    q, k, v = mixer.heads.W_Q, mixer.heads.W_K, mixer.heads.W_V
    qkv = torch.cat([q, k.repeat_interleave(shared, 0), v.repeat_interleave(shared, 0)], -1)
    weights = {
        "qkv_proj.weight": qkv.mT.flatten(0, 1),
        "out_proj.weight": mixer.W_O.flatten(0, 1).T,
        "output_gate.weight": mixer.W_gate.mT.flatten(0, 1),
        "norm.weight": mixer.gain.flatten(),
    }
    layer = MiniMaxLightningAttention(config, layer_idx=1).to(x.dtype)
    return functional_call(layer, weights, (x, None, None))[0]


def mamba2(mixer: Mixer, x: Tensor) -> Tensor:
    """transformers' whole layer; its convolution has one tap, on the token itself."""
    n_heads, _, d_head = mixer.W_gate.shape
    n_groups, _, d_state = mixer.heads.W_Q.shape
    config = Mamba2Config(
        hidden_size=x.shape[-1],
        num_heads=n_heads,
        head_dim=d_head,
        state_size=d_state,
        n_groups=n_groups,
        expand=1,
        chunk_size=32,
        num_hidden_layers=1,
        use_conv_bias=False,
        layer_norm_epsilon=1e-5,
    )
    layer = Mamba2Mixer(config, 0).to(x.dtype).eval()
    tap = torch.zeros_like(layer.conv1d.weight)
    tap[..., -1] = 1
    heads = mixer.heads
    parts = (mixer.W_gate, heads.W_V, heads.W_K, heads.W_Q)  # z, x, B, C
    weights = {
        "in_proj.weight": torch.cat([*(w.mT.flatten(0, 1) for w in parts), mixer.W_dt]),
        "conv1d.weight": tap,
        "dt_bias": mixer.b_dt,
        "A_log": mixer.A_log,
        "D": mixer.D,
        "norm.weight": mixer.gain.flatten(),
        "out_proj.weight": mixer.W_O.flatten(0, 1).T,
    }
    return functional_call(layer, weights, (x,))


def given(mix: Callable[..., Tensor]) -> Callable[[Mixer, Projected], Tensor]:
    """A reference that takes the decay from the projections."""
    return lambda mixer, p: mix(mixer, p, p.extra["decay"])


REFERENCES = {
    "retnet": Reference(mix=lambda mixer, p: naive_retention(*repeated(p)), layer=retention_layer),
    "lightning": Reference(layer=minimax),
    "simple_gla": Reference(
        mix=lambda mixer, p: fla_simple_gla(mixer, p, p.extra["decay"])[0],
        pattern=lambda mixer, p: fla_simple_gla(mixer, p, p.extra["decay"])[1],
        layer=simple_gla_layer,
    ),
    "gla": Reference(mix=given(fla_gla), layer=gla_layer),
    "mamba2": Reference(layer=mamba2),
    "rwkv6": Reference(mix=given(fla_rwkv6), layer=rwkv6_layer),
}
