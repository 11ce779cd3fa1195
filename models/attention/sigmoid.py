"""Sigmoid attention without a normaliser (Gu et al. 2025, arXiv 2410.10781, section 7.4).

A_ij = σ(q_i·k_j / √D + b). No key takes anything from another, so there is nothing to dump on a
sink. b = 0 as in that paper; Ramapuram et al. 2025, arXiv 2409.04431 set b = -log T instead.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.kernels.feedback import pairs
from models.kernels.softmax import BLOCK, by_rows, cached, dot, masked


class Sigmoid(HeadMixer):
    """A = σ(q·k / √D + bias); minus infinity masks here too."""

    traits = Traits(row_stochastic=False, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, *, bias: float = 0.0) -> None:
        super().__init__(config)
        self.bias = bias

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * c.d_model * pairs(t, BLOCK),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k) + self.bias)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.sigmoid()

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
