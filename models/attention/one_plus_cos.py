"""Linear attention whose kernel is 1 + cos(q, k) (Su 2020, kexue.fm/archives/7546).

φ(x) = [1, x / |x|], so that φ(q)·φ(k) lies between 0 and 2 whatever the lengths of q and k.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.features import widened
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

FLOOR = 1e-6  # of the kernel: at a query opposite to all its keys rounding could divide by zero


def feature(x: Float[Tensor, "*n D"]) -> Float[Tensor, "*n F"]:
    """φ(x) = [1, x / |x|], in float32 at least, as 1 + cos may cancel."""
    return F.pad(F.normalize(widened(x), dim=-1), (1, 0), value=(1 + FLOOR) ** 0.5)


class OnePlusCos(HeadMixer):
    """A_ij = (1 + cos(q_i, k_j)) / Σ_{m ≤ i} (1 + cos(q_i, k_m))."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + linear_flops(t, c.n_heads, d + 1, d + 1),
            cache=lambda t: c.n_kv_heads * (d + 1) * (d + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(feature(p.q), feature(p.k), scale=1.0)).to(p.q.dtype)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return normalised_mix(feature(p.q), feature(p.k), widened(p.v)).to(p.v.dtype)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        z, state = linear_step(feature(p.q), feature(p.k), with_ones(widened(p.v)), state)
        return normalise(z).to(p.v.dtype), state

    def recurrence(self, p: Projected) -> Recurrence:
        q, k = feature(p.q), feature(p.k)
        return Recurrence(q=over_row_sums(q, k), k=k)
