"""cosFormer (Qin et al. 2022, arXiv 2202.08791): ReLU features, reweighted by nearness.

A_ij ∝ relu(q_i)·relu(k_j) · cos(π (i - j) / 2M) for M tokens at most. Both factors split over i and
j: φ(x_i) = [relu(x) cos(π i / 2M), relu(x) sin(π i / 2M)], so positions enter where others rotate.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.linear import (
    causal,
    linear_flops,
    linear_step,
    normalise,
    normalise_rows,
    normalised_mix,
    over_row_sums,
    with_ones,
)
from models.kernels.softmax import dot

FLOOR = 1e-6  # of ReLU features: a query that meets no key's features would divide zero by zero


class CosFormer(HeadMixer):
    """Linear attention with features of width 2D that hold the token's place."""

    traits = Traits(row_stochastic=True, nonnegative=True, rotary=False, subquadratic=True)

    def __init__(self, config: HeadConfig, reach: int = 4096) -> None:
        """`reach`: M in tokens. The cosine falls to zero there; longer sequences are refused."""
        super().__init__(config)
        self.reach = reach

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + linear_flops(t, c.n_heads, 2 * d, d + 1),
            cache=lambda t: c.n_kv_heads * 2 * d * (d + 1),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        if where.max() >= self.reach:
            raise ValueError(
                f"cosFormer weighs {self.reach} tokens, got position {int(where.max())}; "
                "shorten the sequence or give it a larger reach"
            )
        angle = where.double()[:, None] * (torch.pi / 2 / self.reach)
        cos, sin = angle.cos().to(p.q.dtype), angle.sin().to(p.q.dtype)
        q, k = p.q.relu() + FLOOR, p.k.relu() + FLOOR
        return replace(p, q=torch.cat([q * cos, q * sin], -1), k=torch.cat([k * cos, k * sin], -1))

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(p.q, p.k, scale=1.0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return normalised_mix(p.q, p.k, p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        z, state = linear_step(p.q, p.k, with_ones(p.v), state)
        return normalise(z), state

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=over_row_sums(p.q, p.k), k=p.k)
