"""DeepSeek's attention in transformers; formulas token by token where there is no package."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DeepseekV2Config, DeepseekV3Config
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Attention
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Attention

from models.attention.contract import HeadConfig, Mixer, Projected
from tests.models.references import Reference, repeated

# A row [B, D] of q, k or v at a place; None: positions are switched off.
Rotate = Callable[[Tensor, int], Tensor]


def flat(weight: Tensor) -> Tensor:
    """[N, E, D] as the [N·D, E] matrix of a Linear."""
    return weight.transpose(1, 2).flatten(0, 1)


def deepseek(mixer: Mixer, version: int, interleave: bool = False):
    """transformers' eager attention of DeepSeek-V2 or V3, and our weights under its names."""
    c: HeadConfig = mixer.config
    made = {2: DeepseekV2Config, 3: DeepseekV3Config}[version](
        hidden_size=c.d_model,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_heads,
        kv_lora_rank=mixer.d_latent,
        q_lora_rank=mixer.d_query_latent,
        qk_nope_head_dim=mixer.d_key,
        qk_rope_head_dim=mixer.d_rope,
        v_head_dim=mixer.d_value,
        rope_interleave=interleave,
    )
    made._attn_implementation = "eager"
    layer = {2: DeepseekV2Attention, 3: DeepseekV3Attention}[version](made, 0)
    weights = {
        "kv_a_proj_with_mqa.weight": torch.cat([mixer.W_DKV, mixer.W_KR], 1).T,
        "kv_a_layernorm.weight": mixer.gain,
        "kv_b_proj.weight": flat(torch.cat([mixer.W_UK, mixer.W_UV], -1)),
        "o_proj.weight": mixer.W_O.flatten(0, 1).T,
    }
    if mixer.d_query_latent is None:
        weights["q_proj.weight"] = flat(mixer.heads.W_Q)
    else:
        weights["q_a_proj.weight"] = mixer.W_DQ.T
        weights["q_a_layernorm.weight"] = mixer.gain_q
        weights["q_b_proj.weight"] = flat(mixer.heads.W_Q)
    return layer, weights


def causal(length: int, like: Tensor) -> Tensor:
    """Minus infinity above the diagonal."""
    return torch.full((length, length), -torch.inf, dtype=like.dtype).triu(1)


def deepseek_v3(
    mixer: Mixer, x: Tensor, cos: Tensor | None = None, sin: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output and matrix of DeepseekV3Attention, its softmax and norms in float32; no rotation."""
    layer, weights = deepseek(mixer, 3)
    still = torch.ones(1, x.shape[1], mixer.d_rope, dtype=x.dtype)
    turned = (still, 0 * still) if cos is None else (cos, sin)
    args = (x, turned, causal(x.shape[1], x))
    return torch.func.functional_call(layer, weights, args)


def loop(
    q: Tensor, k: Tensor, v: Tensor, rotate: Rotate | None = None, back: bool = False
) -> Tensor:
    """Σ_j a_ij v_j with softmax weights, one head, one query and one key at a time.

    q [B, H, T, D], k and v [B, H, T, ...]; `rotate` places q and k, and with `back` the values,
    what is read being turned back by the query's own place.
    """
    place = rotate or (lambda x, i: x)
    heads = []
    for h in range(q.shape[1]):
        rows = []
        for i in range(q.shape[2]):
            here = place(q[:, h, i], i)
            logits = [(here * place(k[:, h, j], j)).sum(-1) for j in range(i + 1)]
            weights = (torch.stack(logits, -1) / q.shape[-1] ** 0.5).exp()
            total = weights.sum(-1)
            read = 0
            for j in range(i + 1):
                value = place(v[:, h, j], j) if back else v[:, h, j]
                read = read + (weights[:, j] / total)[:, None] * value
            rows.append(place(read, -i) if back else read)
        heads.append(torch.stack(rows, 1))
    return torch.stack(heads, 1)


def per_token(x: Tensor, weight: Tensor) -> Tensor:
    """[B, T, E] through one matrix per head, [N, E, D], as a list of plain products."""
    return torch.stack([x @ w for w in weight], 1)


def merged(mixer: Mixer, z: Tensor) -> Tensor:
    """Every head's z through its own output matrix, added up."""
    return sum(z[:, h] @ mixer.W_O[h] for h in range(z.shape[1]))


def served(x: Tensor, n_heads: int) -> Tensor:
    """Key/value head h // (H / G) for query head h."""
    share = n_heads // x.shape[1]
    return torch.stack([x[:, h // share] for h in range(n_heads)], 1)


def s1(mixer: Mixer, x: Tensor, rotate: Rotate | None = None) -> Tensor:
    """Kexue 10907: K = [shared, turned], V = [shared, extra]."""
    w, h = mixer.heads, mixer.config.n_heads
    k, own = (served(per_token(x, m), h) for m in (w.W_K, w.W_V))
    v = torch.cat([k[..., : mixer.d_shared], own], -1)
    return merged(mixer, loop(per_token(x, w.W_Q), k, v, rotate))


def s2(mixer: Mixer, x: Tensor, rotate: Rotate | None = None) -> Tensor:
    """Kexue 10907 with 10862: V = K, rotated with it, and what is read turned back."""
    w, h = mixer.heads, mixer.config.n_heads
    k = served(per_token(x, w.W_K), h)
    return merged(mixer, loop(per_token(x, w.W_Q), k, k, rotate, back=True))


def s3(mixer: Mixer, x: Tensor, rotate: Rotate | None = None) -> Tensor:
    """Kexue 10907: K = [latent, turned], V = latent."""
    w, h = mixer.heads, mixer.config.n_heads
    k = served(per_token(x, w.W_K), h)
    return merged(mixer, loop(per_token(x, w.W_Q), k, k[..., : mixer.d_latent], rotate))


def tpa(mixer: Mixer, x: Tensor, rotate: Rotate | None = None) -> Tensor:
    """arXiv 2501.06425: sums of outer products of a head factor and a turned width factor."""

    def product(a: Tensor, b: Tensor, place: Rotate | None) -> Tensor:
        tokens = []
        for t in range(x.shape[1]):
            head, wide = per_token(x[:, t], a), per_token(x[:, t], b)  # [B, H, R], [B, R, D]
            whole = 0
            for r in range(mixer.rank):
                row = wide[:, r] if place is None else place(wide[:, r], t)
                whole = whole + head[:, :, r, None] * row[:, None]
            tokens.append(whole / mixer.rank)
        return torch.stack(tokens, 2)

    q = per_token(x, mixer.heads.W_Q)
    if rotate is not None:
        q = torch.stack([rotate(q[:, :, t], t) for t in range(x.shape[1])], 2)
    k, v = product(mixer.A_K, mixer.B_K, rotate), product(mixer.A_V, mixer.B_V, None)
    return merged(mixer, loop(q, k, v))


def mfa(mixer: Mixer, x: Tensor, rotate: Rotate | None = None) -> Tensor:
    """arXiv 2412.19255: q = x S_Q Q_h, and one wide k and v (or some) for all heads."""
    w, h = mixer.heads, mixer.config.n_heads
    k, v = (served(per_token(x, m), h) for m in (w.W_K, w.W_V))
    return merged(mixer, loop(per_token(x @ mixer.S_Q, w.W_Q), k, v, rotate))


def sdpa(mixer: Mixer, p: Projected) -> Tensor:
    """PyTorch's own, as without a rotation nothing is left of the difference."""
    return F.scaled_dot_product_attention(*repeated(p), is_causal=True)


REFERENCES = {
    "mla": Reference(layer=lambda mixer, x: deepseek_v3(mixer, x)[0]),
    "tpa": Reference(layer=tpa, length=33),
    "kv_shared_s1": Reference(layer=s1, length=33),
    "kv_shared_s2": Reference(layer=s2, length=33),
    "kv_shared_s3": Reference(layer=s3, length=33),
    "partial_rope": Reference(mix=sdpa),
    "mfa": Reference(layer=mfa, length=33),
}
