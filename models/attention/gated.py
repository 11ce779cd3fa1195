"""Gated attention, position G1 (Qiu et al. 2025, arXiv 2505.06708; Qwen3-Next).

z = σ(x W_gate) ⊙ (A v) with A = softmax(q·k / √D): a head that has nothing to say closes its gate
instead of looking at a sink. One gate per head and channel; the gate is not part of A.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head, projections
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked


class Gated(HeadMixer):
    """Softmax attention whose output a sigmoid of the query's token gates."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, side={"gate": "q"})

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        h, e, d = config.n_heads, config.d_model, config.d_head
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)

    @property
    def cost(self) -> Cost:
        c = self.config
        weights = projections(c) + c.d_model**2
        return Cost(
            parameters=weights,
            flops=lambda t: 2 * t * weights + 4 * t * t * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        return Projected(*self.heads.split(x), {"gate": per_head(x, self.W_gate).sigmoid()})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return fused(p.q, p.k, p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * o
