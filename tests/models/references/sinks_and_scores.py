"""x_transformers; transformers' Llama, Qwen3-Next and DiffLlama; formulas row by row."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from transformers import DiffLlamaConfig, LlamaConfig, Qwen3NextConfig
from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention
from transformers.models.llama.modeling_llama import LlamaAttention
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextAttention
from x_transformers.attend import Attend
from x_transformers.x_transformers import AlibiPositionalBias, l2norm

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, repeated


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, **options) -> Tensor:
    """x_transformers' causal attention; `qk_norm` is what keeps its softmax in float64."""
    out, _ = Attend(causal=True, qk_norm=True, **options)(q, k, v, attn_bias=bias)
    return out


def weights(q: Tensor, k: Tensor, v: Tensor, **options) -> Tensor:
    """The matrix that it applied."""
    return Attend(causal=True, qk_norm=True, **options)(q, k, v)[1].post_softmax_attn


def heads_of(mixer: Mixer, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of x straight from the weights, one key per query head."""
    q, k, v = (
        torch.stack([x @ w for w in weight], 1)
        for weight in (mixer.heads.W_Q, mixer.heads.W_K, mixer.heads.W_V)
    )
    share = q.shape[1] // k.shape[1]
    return q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)


def written(mixer: Mixer, z: Tensor) -> Tensor:
    """Every head's z through W_O, added up."""
    return sum(z[:, h] @ w for h, w in enumerate(mixer.W_O))


def extended(mixer: Mixer, x: Tensor, value: bool) -> Tensor:
    """x_transformers over the tokens with the learned key, and perhaps its value, in front."""
    q, k, v = heads_of(mixer, x)
    share = mixer.config.n_heads // mixer.config.n_kv_heads
    first = mixer.sink_key.repeat_interleave(share, 0)[:, None].expand(len(x), -1, -1, -1)
    worth = torch.zeros_like(first)
    if value:
        worth = mixer.sink_value.repeat_interleave(share, 0)[:, None].expand_as(first)
    return written(mixer, attend(q, torch.cat([first, k], 2), torch.cat([worth, v], 2)))


def linear(*weights: Tensor) -> Tensor:
    """[N, E, D] weights, side by side for each head, as the rows of an nn.Linear."""
    return torch.cat(weights, -1).transpose(1, 2).flatten(0, 1)


def still(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines that turn nothing."""
    return torch.ones_like(x[..., :2]), torch.zeros_like(x[..., :2])


def llama(mixer: Mixer, x: Tensor, turned: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """transformers' Llama attention over [x*; x], without the row of x*."""
    c = mixer.config
    config = LlamaConfig(
        hidden_size=c.d_model,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_kv_heads,
        attn_implementation="sdpa",
    )
    heads = mixer.heads
    parameters = {
        "q_proj.weight": linear(heads.W_Q),
        "k_proj.weight": linear(heads.W_K),
        "v_proj.weight": linear(heads.W_V),
        "o_proj.weight": heads.W_O.flatten(0, 1).T,
    }
    whole = torch.cat([mixer.sink_token.expand(len(x), 1, -1), x], 1)
    if turned is None:
        turned = (torch.ones_like(whole[..., : c.d_head]), torch.zeros_like(whole[..., : c.d_head]))
    theirs = LlamaAttention(config, 0).double()
    out, _ = functional_call(theirs, parameters, (whole, turned, None))
    return out[:, 1:]


def qwen3_next(mixer: Mixer, x: Tensor) -> Tensor:
    """transformers' Qwen3-Next attention, gate and all, without its norms on q and k."""
    c, heads = mixer.config, mixer.heads
    config = Qwen3NextConfig(
        hidden_size=c.d_model,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_kv_heads,
        head_dim=c.d_head,
        attn_implementation="sdpa",
    )
    parameters = {
        "q_proj.weight": linear(heads.W_Q, mixer.W_gate),
        "k_proj.weight": linear(heads.W_K),
        "v_proj.weight": linear(heads.W_V),
        "o_proj.weight": heads.W_O.flatten(0, 1).T,
    }
    theirs = Qwen3NextAttention(config, 0).double()
    theirs.q_norm = theirs.k_norm = torch.nn.Identity()
    return functional_call(theirs, parameters, (x, still(x), None))[0]


def diffllama(mixer: Mixer, x: Tensor) -> Tensor:
    """transformers' DiffLlama attention: first all heads' first maps, then the second ones."""
    c, heads = mixer.config, mixer.heads
    config = DiffLlamaConfig(
        hidden_size=c.d_model,
        num_attention_heads=2 * c.n_heads,
        num_key_value_heads=2 * c.n_kv_heads,
        head_dim=c.d_head // 2,
        rms_norm_eps=1e-5,
        attn_implementation="sdpa",
    )
    parameters = {
        name: torch.cat([linear(half) for half in weight.chunk(2, -1)])
        for name, weight in (
            ("q_proj.weight", heads.W_Q),
            ("k_proj.weight", heads.W_K),
            ("v_proj.weight", heads.W_V),
        )
    }
    parameters["o_proj.weight"] = heads.W_O.flatten(0, 1).T
    names = ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2")
    parameters |= dict(zip(names, mixer.lambdas, strict=True))
    theirs = DiffLlamaAttention(config, 0).double()
    theirs.lambda_init = mixer.lambda_init
    turned = (
        torch.ones_like(x[..., : config.head_dim]),
        torch.zeros_like(x[..., : config.head_dim]),
    )
    return functional_call(theirs, parameters, (x, turned, None))[0]


def gau(mixer: Mixer, x: Tensor) -> Tensor:
    """kexue 8934 token by token and head by head, from x to the layer's output."""
    share = mixer.config.n_heads // mixer.config.n_kv_heads
    s, z, out = mixer.config.d_head, F.silu(x @ mixer.W_z), torch.zeros_like(x)
    for h in range(mixer.config.n_heads):
        g = h // share
        q = mixer.q_scale[h] * z + mixer.q_offset[h]
        k = mixer.k_scale[g] * z + mixer.k_offset[g]
        v, u = F.silu(x @ mixer.heads.W_V[g]), F.silu(x @ mixer.W_gate[h])
        rows = []
        for i in range(x.shape[1]):
            read = (q[:, i : i + 1] * k[:, : i + 1]).sum(-1, keepdim=True).clamp_min(0) ** 2 / s
            rows.append((read * v[:, : i + 1]).sum(1) / (i + 1))
        out = out + (u * torch.stack(rows, 1)) @ mixer.W_O[h]
    return out


def key_norm(mixer: Mixer, x: Tensor) -> Tensor:
    """l2norm on the keys alone."""
    q, k, v = heads_of(mixer, x)
    return written(mixer, attend(q, l2norm(k), v, scale=1.0))


def query_norm(mixer: Mixer, x: Tensor) -> Tensor:
    """l2norm on the queries alone."""
    q, k, v = heads_of(mixer, x)
    return written(mixer, attend(l2norm(q), k, v, scale=1.0))


def row_by_row(q: Tensor, k: Tensor, v: Tensor, factor: Callable[[int], float]) -> Tensor:
    """Softmax attention, logits of a row that sees n keys times factor(n)."""
    rows = []
    for n in range(1, q.shape[2] + 1):
        logits = factor(n) * (q[:, :, n - 1, None] * k[:, :, :n]).sum(-1)
        powers = logits.exp()
        rows.append((powers[..., None] * v[:, :, :n]).sum(2) / powers.sum(-1, keepdim=True))
    return torch.stack(rows, 2)


def cosa(mixer: Mixer, x: Tensor) -> Tensor:
    """exp(4 log n · cos(q, k))."""
    q, k, v = heads_of(mixer, x)
    q, k = (t / t.square().sum(-1, keepdim=True).sqrt() for t in (q, k))
    return written(mixer, row_by_row(q, k, v, lambda n: 4 * math.log(n)))


def log_n(mixer: Mixer, x: Tensor) -> Tensor:
    """exp(max(1, log n / log 64) · q·k / √D)."""
    q, k, v = heads_of(mixer, x)
    q = q / math.sqrt(mixer.config.d_head)
    return written(mixer, row_by_row(q, k, v, lambda n: max(1.0, math.log(n) / math.log(64))))


def alibi(mixer: Mixer, p: Projected) -> Tensor:
    """x_transformers' own biases, for four heads."""
    h, t = p.q.shape[1:3]
    return attend(*repeated(p), bias=AlibiPositionalBias(h).double()(t, t))


REFERENCES = {
    "softmax1": Reference(
        mix=lambda mixer, p: attend(*repeated(p), add_zero_kv=True),
        pattern=lambda mixer, p: weights(*repeated(p), add_zero_kv=True)[..., 1:],
    ),
    "k_bias": Reference(layer=lambda mixer, x: extended(mixer, x, value=False)),
    "kv_bias": Reference(layer=lambda mixer, x: extended(mixer, x, value=True)),
    "sink_token": Reference(layer=llama),
    "sigmoid": Reference(
        mix=lambda mixer, p: attend(*repeated(p), sigmoid=True),
        pattern=lambda mixer, p: weights(*repeated(p), sigmoid=True),
    ),
    "gated": Reference(layer=qwen3_next),
    "log_n": Reference(layer=log_n, length=100),  # past the 64 that it starts to scale at
    "key_norm": Reference(layer=key_norm),
    "query_norm": Reference(layer=query_norm),
    "cosa": Reference(layer=cosa),
    "alibi": Reference(mix=alibi),
    "differential": Reference(layer=diffllama, d_head=8),
    "gau": Reference(layer=gau),
}
