"""Simple GLA: one decay per head and token, computed from the token (Yang and Zhang 2024, fla).

A_ij = q_i·k_j / √D · Π_{j < m <= i} α_m with α_m = σ(x_m·w_h + b_h)^(1/16), so that a head forgets
slowly unless it learns otherwise. It is the gating of YOCO's gated retention (Sun et al. 2024,
arXiv 2405.05254) and of Mamba-2, bare: their rotation, norms and output gates are left out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import decay_step, scalar_decay_mix, scalar_decay_scores, scaled
from models.kernels.linear import linear_flops


class SimpleGLA(HeadMixer):
    """Linear attention with a data-dependent decay; `decay` is log α, at most 0, per key head."""

    traits = Traits(row_stochastic=False, nonnegative=False, rotary=False, subquadratic=True)
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, temperature: float = 16.0) -> None:
        super().__init__(config)
        g, e = config.n_kv_heads, config.d_model
        self.temperature = temperature
        self.W_decay = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.b_decay = nn.Parameter(torch.zeros(g))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        weights = projections(c) + c.d_model * c.n_kv_heads
        return Cost(
            parameters=weights + c.n_kv_heads,
            flops=lambda t: 2 * t * weights + linear_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        logit = torch.einsum("bte,ge->bgt", x, self.W_decay) + self.b_decay[:, None]
        return Projected(*self.heads.split(x), {"decay": F.logsigmoid(logit) / self.temperature})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return scalar_decay_scores(scaled(p.q), p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return scalar_decay_mix(scaled(p.q), p.k, p.v, p.extra["decay"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return decay_step(scaled(p.q), p.k, p.v, p.extra["decay"], state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=scaled(p.q), k=p.k, g=p.extra["decay"][..., None])
