"""Based's linear attention (Arora et al. 2024, arXiv 2402.18668): exp by its Taylor polynomial.

A_ij ∝ 1 + z + z²/2 with z = q_i·k_j / √D, never below 1/2. The paper projects q and k to 16
dimensions; here they are as wide as the head. Its sliding window is a layer of its own.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.features import polynomial_flops, polynomial_mix, products, widened
from models.kernels.linear import (
    causal,
    linear_step,
    normalise,
    normalise_rows,
    over_row_sums,
    with_ones,
)
from models.kernels.softmax import dot


def taylor(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """1 + z + z²/2."""
    return 1 + z + z.square() / 2


def feature(x: Float[Tensor, "*n D"]) -> Float[Tensor, "*n F"]:
    """[1, x, products of two entries / √2]; its dot products are the polynomial of x's."""
    return torch.cat([torch.ones_like(x[..., :1]), x, products(x) * 2**-0.5], -1)


class Based(HeadMixer):
    """A_ij = taylor(z_ij) / Σ_{m ≤ i} taylor(z_im), through 1 + D + D (D + 1) / 2 features."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        f = 1 + d + d * (d + 1) // 2
        return Cost(
            parameters=projections(c),
            flops=lambda t: (
                2 * t * projections(c) + polynomial_flops(t, c.n_heads, c.n_kv_heads, d, f, d + 1)
            ),
            cache=lambda t: c.n_kv_heads * f * (d + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(taylor(dot(p.q, p.k)))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        q = p.q * p.q.shape[-1] ** -0.5
        return normalise(polynomial_mix(q, p.k, with_ones(p.v), taylor, feature)).to(q.dtype)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        q = p.q * p.q.shape[-1] ** -0.5
        q, k, v = (widened(x) for x in (q, p.k, p.v))
        z, state = linear_step(feature(q), feature(k), with_ones(v), state)
        return normalise(z).to(p.v.dtype), state

    def recurrence(self, p: Projected) -> Recurrence:
        q, k = feature(widened(p.q) * p.q.shape[-1] ** -0.5), feature(widened(p.k))
        return Recurrence(q=over_row_sums(q, k), k=k)
