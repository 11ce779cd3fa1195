"""Local and atrous attention in one (Su 2019, kexue.fm/archives/6853): dense near, sparse far.

A = softmax(q·k / √D) over the keys at lags 0 to k and at all multiples of k; the causal half of the
post's last figure, and what the Sparse Transformer (Child et al. 2019) calls a merged strided head.
"""

import torch
from jaxtyping import Float
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
from models.kernels.masks import at_least_one, band, filled, joint_softmax, with_before
from models.kernels.softmax import cached, dot, masked


class AtrousLocal(HeadMixer):
    """Every key up to lag `reach`, and every `reach`-th one beyond; T √T for reach near √T."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, reach: int = 16) -> None:
        super().__init__(config)
        at_least_one(reach=reach)
        self.reach = reach

    @property
    def cost(self) -> Cost:
        c = self.config

        def flops(t: int) -> int:
            rows = filled(t, self.reach)
            return 2 * t * projections(c) + 4 * rows * c.d_model * (
                2 * self.reach + rows // self.reach
            )

        return Cost(
            parameters=projections(c),
            flops=flops,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        lag = lags(*logits.shape[-2:], logits.device)
        return masked(logits, (lag <= self.reach) | (lag % self.reach == 0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        h, t = p.q.shape[1:3]
        q, k = chunks(p.q * p.q.shape[-1] ** -0.5, self.reach), repeat_groups(p.k, h)
        v = repeat_groups(p.v, h)
        # Lags below `reach` lie in a chunk and the one before it; the multiples of `reach` lie in
        # the same row of earlier chunks: c and e count chunks, r rows in them.
        near = q @ with_before(k, self.reach).mT
        near = near.masked_fill(~band(q.shape[2], self.reach, q.device), -torch.inf)
        far = torch.einsum("bhcrd,bherd->bhcre", q, chunks(k, self.reach))
        chunk = torch.arange(q.shape[2], device=q.device)
        far = far.masked_fill(chunk[:, None, None] <= chunk, -torch.inf)
        far, near = joint_softmax(far, near)
        out = torch.einsum("bhcre,bherd->bhcrd", far, chunks(v, self.reach))
        return (out + near @ with_before(v, self.reach)).flatten(2, 3)[:, :, :t]

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
