"""Scaled cosine attention, CosA (Su 2023, kexue 9859; Henry et al. 2020, arXiv 2010.04245).

A = softmax(λ_i cos(q_i, k_j)), λ_i = 4 log n with n = i + 1, the number of keys that query i sees;
the post's other choice is one n for all rows, half the trained length.
"""

from dataclasses import replace

import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked


class CosA(HeadMixer):
    """Softmax attention by angle alone; positions set how sharp a row is."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * t * t * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        return Projected(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v)

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        sharpness = 4 * (where + 1).double().log()
        return replace(p, q=turn(p.q, where) * sharpness.to(p.q.dtype)[:, None], k=turn(p.k, where))

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k, scale=1.0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=1.0)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return fused(p.q, p.k, p.v, scale=1.0)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
