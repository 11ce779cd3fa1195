"""Linear attention as it is, without kernel or denominator (fast weights, Schmidhuber 1992).

The state is S_t = S_{t-1} + k_t v_tᵀ and the output S_tᵀ q_t / √D (as in Schlag et al. 2021, arXiv
2102.11174, before their delta rule). The matrix is signed and its rows sum to anything.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.linear import causal, linear_flops, linear_mix, linear_step
from models.kernels.softmax import dot


class Unnormalised(HeadMixer):
    """A = tril(q kᵀ) / √D."""

    traits = Traits(row_stochastic=False, nonnegative=False, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + linear_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return linear_mix(p.q * p.q.shape[-1] ** -0.5, p.k, p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return linear_step(p.q * p.q.shape[-1] ** -0.5, p.k, p.v, state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=p.q * p.q.shape[-1] ** -0.5, k=p.k)
