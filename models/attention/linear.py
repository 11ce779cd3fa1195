"""Linear attention with φ = elu + 1 (Katharopoulos et al. 2020): normalised, but no softmax."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
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


def feature(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """φ(x) = elu(x) + 1, positive everywhere."""
    return F.elu(x) + 1


class Linear(HeadMixer):
    """A_ij = φ(q_i)·φ(k_j) / Σ_{m ≤ i} φ(q_i)·φ(k_m)."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + linear_flops(t, c.n_heads, d, d + 1),
            cache=lambda t: c.n_kv_heads * d * (d + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(feature(p.q), feature(p.k), scale=1.0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return normalised_mix(feature(p.q), feature(p.k), p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        z, state = linear_step(feature(p.q), feature(p.k), with_ones(p.v), state)
        return normalise(z), state

    def recurrence(self, p: Projected) -> Recurrence:
        q, k = feature(p.q), feature(p.k)
        return Recurrence(q=over_row_sums(q, k), k=k)
