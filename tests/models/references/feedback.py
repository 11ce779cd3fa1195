"""flash-linear-attention's naive FoX and PaTH; DeltaFormer by its recurrence, token by token."""

import torch
from fla.ops.forgetting_attn.naive import naive_forgetting_attn
from fla.ops.path_attn.naive import naive_path_attn
from torch import Tensor

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, each, repeated, sequence_first


def fla_fox(mixer: Mixer, p: Projected) -> Tensor:
    """fla's forgetting attention; it casts to float32."""
    gates = each(p.extra["log_forget"], p)
    return naive_forgetting_attn(*sequence_first(*repeated(p), gates)).transpose(1, 2)


def fla_path(mixer: Mixer, p: Projected) -> Tensor:
    """fla's PaTH without a forget gate; it casts to float32."""
    w, beta = each(p.extra["w"], p), each(p.extra["beta"], p)
    inputs = sequence_first(*repeated(p), w, beta, torch.zeros_like(beta))
    return naive_path_attn(*inputs, scale=p.q.shape[-1] ** -0.5).transpose(1, 2)


def deltaformer(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, asks: Tensor | None = None
) -> Tensor:
    """u_t = v_t - β_t Σ_{s<t} softmax(a_t·k_s / √D) u_s, then softmax attention on u.

    `asks` is a: the keys as in the paper's delta rule, unless given.
    """
    asks, scale = k if asks is None else asks, q.shape[-1] ** -0.5
    u, out = [v[:, :, 0]], []
    for t in range(q.shape[2]):
        if t:
            weights = torch.einsum("bhd,bhsd->bhs", asks[:, :, t], k[:, :, :t]) * scale
            recalled = torch.einsum("bhs,bhsd->bhd", weights.softmax(-1), torch.stack(u, 2))
            u.append(v[:, :, t] - beta[:, :, t, None] * recalled)
        weights = torch.einsum("bhd,bhsd->bhs", q[:, :, t], k[:, :, : t + 1]) * scale
        out.append(torch.einsum("bhs,bhsd->bhd", weights.softmax(-1), torch.stack(u, 2)))
    return torch.stack(out, 2)


REFERENCES = {
    "fox": Reference(mix=fla_fox),
    "path": Reference(mix=fla_path),
    "deltaformer": Reference(
        mix=lambda mixer, p: deltaformer(*repeated(p), each(p.extra["beta"], p))
    ),
}
