"""NormAttention of TransNormer (Qin et al. 2022, arXiv 2210.10340): a norm, no denominator.

A = tril(φ(q) φ(k)ᵀ) with φ = elu + 1; what the denominator kept in bounds, an RMS norm after A·v
does. Over all heads of a token and without a gain, as in the authors' code, whose output gate and
activation on v are left out. The row that acts on v is A / rms.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.linear import causal, linear_flops, linear_mix, linear_step
from models.kernels.softmax import dot

EPS = 1e-6  # added to the mean square


def feature(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """φ(x) = elu(x) + 1, positive everywhere."""
    return F.elu(x) + 1


class NormAttention(HeadMixer):
    """A_ij = φ(q_i)·φ(k_j): its rows grow with their length until the norm."""

    traits = Traits(row_stochastic=False, nonnegative=True, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + linear_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(feature(p.q), feature(p.k), scale=1.0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return linear_mix(feature(p.q), feature(p.k), p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return linear_step(feature(p.q), feature(p.k), p.v, state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=feature(p.q), k=feature(p.k))

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return o * (o.square().mean((1, 3), keepdim=True) + EPS).rsqrt()
