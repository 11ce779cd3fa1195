"""Softmax attention (Vaswani et al. 2017); MHA, MQA (Shazeer 2019), GQA (Ainslie et al. 2023)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import HeadConfig, Projected, Traits, causal_mask, repeat_groups
from models.attention.heads import Heads


class Softmax(nn.Module):
    """A = softmax(q·k / √D); how many query heads share a key/value head is only a width."""

    traits = Traits(
        row_stochastic=True,
        nonnegative=True,
        logits=True,
        cache_elements=lambda c, t: 2 * c.n_kv_heads * c.d_head * t,
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.heads = Heads(config)

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
        return scores.softmax(-1)

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return self.weigh(self.scores(p), p)

    def mix(self, p: Projected) -> Float[Tensor, "B H T D"]:
        return F.scaled_dot_product_attention(p.q, p.k, p.v, is_causal=True, enable_gqa=True)

    def merge(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        return self.heads.join(z)
