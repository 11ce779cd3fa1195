"""Linear attention with φ(x) = exp(W x), W learned (Su 2021, kexue.fm/archives/8338).

What is left of Performer when its random directions are trained and |k|² is taken for constant;
Su asks for more features than D, as the matrix has no larger rank than there are features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.features import (
    fading,
    largest_is_one,
    normalised,
    softmaxes,
    softmaxes_flops,
    softmaxes_mix,
    softmaxes_step,
    widened,
)
from models.kernels.linear import normalise_rows


class ExpFeature(HeadMixer):
    """A_ij = φ(q_i)·φ(k_j) / Σ_{m ≤ i} φ(q_i)·φ(k_m); a key head and its queries share W."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    def __init__(self, config: HeadConfig, ratio: int = 4) -> None:
        """`ratio`: features per dimension of the head."""
        super().__init__(config)
        g, d = config.n_kv_heads, config.d_head
        self.W_phi = nn.Parameter(torch.randn(g, d, ratio * d) * d**-0.25)

    @property
    def cost(self) -> Cost:
        c, d, m = self.config, self.config.d_head, self.W_phi.shape[-1]
        heads = c.n_heads + c.n_kv_heads
        return Cost(
            parameters=projections(c) + c.n_kv_heads * d * m,
            flops=lambda t: (
                2 * t * (projections(c) + heads * d * m) + softmaxes_flops(t, c.n_heads, m, d)
            ),
            cache=lambda t: c.n_kv_heads * m * (d + 1),
        )

    def logs(self, x: Float[Tensor, "B N T D"]) -> Float[Tensor, "B N T F"]:
        """log φ(x) = W x."""
        return widened(x) @ widened(repeat_groups(self.W_phi[None], x.shape[1]))

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """φ(q_i)·φ(k_j), each row scaled by what its largest feature has seen."""
        return softmaxes(self.logs(p.q), self.logs(p.k), largest_is_one).to(p.q.dtype)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return softmaxes_mix(self.logs(p.q), self.logs(p.k), p.v, normalised)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return softmaxes_step(self.logs(p.q), self.logs(p.k), p.v, state, normalised)

    def recurrence(self, p: Projected) -> Recurrence:
        q, k, g = fading(self.logs(p.q), self.logs(p.k), normalised)
        return Recurrence(q=q, k=k, g=g)
