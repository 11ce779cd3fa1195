"""RetNet's retention (Sun et al. 2023, arXiv 2307.08621): every head forgets at a rate of its own.

A_ij = q_i·k_j / √D · γ_h^(i-j) with γ_h = 1 - 2^(-5-h): head 0 keeps 97 % of its memory per token,
head 3 keeps 99.6 %. q and k rotate. A norm per head and a swish gate follow. As in the authors'
code (torchscale) it is the RMS norm, which only scales a row of A; the paper has a group norm.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head, projections
from models.forms import Recurrence
from models.kernels.decay import decay_step, scalar_decay_mix, scalar_decay_scores, scaled, steady
from models.kernels.linear import linear_flops


class RetNet(HeadMixer):
    """Linear attention with a fixed decay per query head; the norm divides any other scale out."""

    traits = Traits(row_stochastic=False, nonnegative=False, subquadratic=True, side={"gate": "q"})

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        h, e, d = config.n_heads, config.d_model, config.d_head
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        # As in the authors' code q and k start small: under the norm that only speeds them up.
        for weight in (self.heads.W_Q, self.heads.W_K):
            weight.data *= 2**-2.5

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        parameters = projections(c) + c.d_model**2
        return Cost(
            parameters=parameters,
            flops=lambda t: 2 * t * parameters + linear_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        return Projected(*self.heads.split(x), {"gate": F.silu(per_head(x, self.W_gate))})

    def decay(self, q: Float[Tensor, "B H T D"]) -> Float[Tensor, "1 H T"]:
        """log γ_h, the same at every token."""
        head = torch.arange(self.config.n_heads, dtype=torch.float64, device=q.device)
        return steady(torch.log1p(-torch.exp2(-5 - head)), q)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return scalar_decay_scores(scaled(p.q), p.k, self.decay(p.q))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return scalar_decay_mix(scaled(p.q), p.k, p.v, self.decay(p.q))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return decay_step(scaled(p.q), p.k, p.v, self.decay(p.q), state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=scaled(p.q), k=p.k, g=self.decay(p.q)[..., None])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], eps=1e-5)
