"""Efficient attention (Shen et al. 2018, arXiv 1812.01243): two softmaxes instead of one.

A_ij = Σ_d softmax(q_i)_d · exp(k_jd) / Σ_{m ≤ i} exp(k_md): each query spreads over its features,
each feature over the keys up to now. The paper's second softmax runs over the whole sequence; here
it ends at the query's own token, so A is causal, and its rows still sum to 1.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.features import (
    fading,
    softmaxes,
    softmaxes_flops,
    softmaxes_mix,
    softmaxes_step,
)


def weights(q: Float[Tensor, "*n T D"], total: Float[Tensor, "*n T D"]) -> Float[Tensor, "*n T D"]:
    """A query's weights on features do not depend on the keys."""
    return q.log_softmax(-1)


class Efficient(HeadMixer):
    """A product of two row-stochastic matrices needs no denominator: the scores are the matrix."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + softmaxes_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * (d + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return softmaxes(p.q, p.k, weights)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return softmaxes_mix(p.q, p.k, p.v, weights)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return softmaxes_step(p.q, p.k, p.v, state, weights)

    def recurrence(self, p: Projected) -> Recurrence:
        q, k, g = fading(p.q, p.k, weights)
        return Recurrence(q=q, k=k, g=g)
