"""Learned sink logit (gpt-oss, OpenAI 2025): each head may put weight on nothing.

One scalar per head joins the logits and leaves after the softmax, so rows sum to less than one.
What is missing is the head's sink slot; it is never renormalised away.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import HeadConfig, Projected, Traits, causal_mask, repeat_groups
from models.attention.heads import Heads


class SinkLogit(nn.Module):
    """A = softmax([q·k / √D, s_h]) without its last column."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=True,
        sink_slot=True,
        logits=True,
        cache_elements=lambda c, t: 2 * c.n_kv_heads * c.d_head * t,
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.heads = Heads(config)
        self.sinks = nn.Parameter(torch.zeros(config.n_heads))

    @property
    def W_O(self) -> Float[Tensor, "H D E"]:
        return self.heads.W_O

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        return Projected(*self.heads.split(x))

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        k = repeat_groups(p.k, p.q.shape[1])
        logits = p.q @ k.mT * p.q.shape[-1] ** -0.5
        return logits.masked_fill(~causal_mask(*logits.shape[-2:], logits.device), -torch.inf)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        sink = self.sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sink], -1).softmax(-1)[..., :-1]

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return self.weigh(self.scores(p), p)

    def mix(self, p: Projected) -> Float[Tensor, "B H T D"]:
        # The sink becomes a real key 0 with value 0, seen through one extra coordinate: its logit
        # is s_h for every query and no other key has that coordinate. A query row in front keeps
        # the causal mask aligned. This runs on stock fused attention, without an n x n mask.
        h, d = p.q.shape[1], p.q.shape[-1]
        pad = 8 - d % 8  # one at least; fused kernels want a head width that is a multiple of 8
        q = F.pad(p.q, (0, pad, 1, 0))
        k = F.pad(repeat_groups(p.k, h), (0, pad, 1, 0))
        v = F.pad(repeat_groups(p.v, h), (0, pad, 1, 0))
        unit = F.pad(q.new_ones(1), (d, pad - 1))
        first = F.pad(q.new_ones(1), (0, k.shape[-2] - 1))
        q = q + unit
        k = k + (self.sinks.to(k.dtype) * d**0.5)[:, None, None] * first[:, None] * unit
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=d**-0.5)
        return z[..., 1:, :d]

    def merge(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        return self.heads.join(z)
