"""PyTorch's fused attention, gpt-oss, and flash-linear-attention's recurrences."""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from fla.ops.delta_rule.naive import delta_rule_recurrence
from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
from torch import Tensor
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, each, repeated, sequence_first


def sdpa(mixer: Mixer, p: Projected) -> Tensor:
    """PyTorch's scaled_dot_product_attention."""
    return F.scaled_dot_product_attention(*repeated(p), is_causal=True)


def gpt_oss(mixer: Mixer, p: Projected) -> tuple[Tensor, Tensor]:
    """Output and matrix of transformers' eager gpt-oss attention."""
    length, share = p.q.shape[2], p.q.shape[1] // p.k.shape[1]
    module = SimpleNamespace(sinks=mixer.sinks, num_key_value_groups=share, training=False)
    mask = torch.full((length, length), -torch.inf, dtype=p.q.dtype).triu(1)
    out, weights = eager_attention_forward(
        module, p.q, p.k, p.v, mask, scaling=p.q.shape[-1] ** -0.5
    )
    return out.transpose(1, 2), weights


def fla_linear(mixer: Mixer, p: Projected) -> Tensor:
    """fla's linear attention with φ applied outside; it casts to float32."""
    q, k, v = sequence_first(*repeated(p))
    out, _ = naive_recurrent_linear_attn(F.elu(q) + 1, F.elu(k) + 1, v, normalize=True)
    return out.transpose(1, 2)


def fla_delta(mixer: Mixer, p: Projected) -> Tensor:
    """fla's delta rule, heads first; it casts to float32."""
    return delta_rule_recurrence(*repeated(p), each(p.extra["beta"], p))[0]


REFERENCES = {
    "softmax": Reference(mix=sdpa),
    "sink_logit": Reference(
        mix=lambda mixer, p: gpt_oss(mixer, p)[0], pattern=lambda mixer, p: gpt_oss(mixer, p)[1]
    ),
    "linear": Reference(mix=fla_linear),
    "delta": Reference(mix=fla_delta),
}
