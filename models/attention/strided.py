"""Strided sparse attention by heads (Sparse Transformer, Child et al. 2019, arXiv 1904.10509).

Even heads read the l keys at lags 0 to l - 1, odd heads the keys at lags 0, l, 2l, ...; two layers
of both reach every token. The paper also merges the two sets in one head: atrous_local is that.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.attention.contract import (
    Cost,
    HeadConfig,
    Projected,
    State,
    Traits,
    lags,
    repeat_groups,
)
from models.attention.heads import HeadMixer, projections
from models.kernels.linear import chunks
from models.kernels.masks import at_least_one, filled, window_flops, window_mix
from models.kernels.softmax import cached, dot, fused, masked


class Strided(HeadMixer):
    """Local and strided heads in turn; l = `stride` is best near √T, for a cost of T √T."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, stride: int = 16) -> None:
        super().__init__(config)
        at_least_one(stride=stride)
        self.stride = stride

    @property
    def cost(self) -> Cost:
        c, n_local = self.config, (self.config.n_heads + 1) // 2

        def flops(t: int) -> int:
            t_filled = filled(t, self.stride)
            strided = 4 * (c.n_heads - n_local) * t_filled * t_filled // self.stride * c.d_head
            local = window_flops(t, n_local, self.stride, c.d_head)
            return 2 * t * projections(c) + local + strided

        return Cost(
            parameters=projections(c),
            flops=flops,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def visible(self, n_heads: int, lag: Tensor) -> Bool[Tensor, "H T S"]:
        """What each head may read among the keys that are not in the future."""
        local, strided = lag < self.stride, lag % self.stride == 0
        return torch.stack([strided if head % 2 else local for head in range(n_heads)])

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        lag = lags(*logits.shape[-2:], logits.device)
        return masked(logits, self.visible(logits.shape[1], lag))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        q, k, v = p.q, *(repeat_groups(x, p.q.shape[1]) for x in (p.k, p.v))
        out = torch.empty_like(q)
        out[:, 0::2] = window_mix(q[:, 0::2], k[:, 0::2], v[:, 0::2], self.stride)
        if q.shape[1] > 1:
            out[:, 1::2] = self.strided(q[:, 1::2], k[:, 1::2], v[:, 1::2])
        return out

    def strided(
        self, q: Float[Tensor, "B N T D"], k: Float[Tensor, "B N T D"], v: Float[Tensor, "B N T D"]
    ) -> Float[Tensor, "B N T D"]:
        """Tokens of equal remainder by l only see each other: l short causal attentions."""
        # [B, N, C, l, D] to l rows of the batch per sequence, each C long.
        rows = (chunks(x, self.stride).permute(0, 3, 1, 2, 4).flatten(0, 1) for x in (q, k, v))
        o = fused(*rows).unflatten(0, (len(q), -1))
        return o.permute(0, 2, 3, 1, 4).flatten(2, 3)[:, :, : q.shape[2]]

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
