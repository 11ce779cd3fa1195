"""ReBased (Aksenov et al. 2024, arXiv 2402.10644): a quadratic kernel whose minimum is learned.

A_ij ∝ (q'_i·k'_j)² / D, where q' and k' are layer norms with learned gain and shift. Unlike Based's
polynomial this one reaches zero, so a query can ignore a key.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
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


class ReBased(HeadMixer):
    """A_ij = (q'_i·k'_j)² / Σ_{m ≤ i} (q'_i·k'_m)², through D (D + 1) / 2 features."""

    traits = Traits(row_stochastic=True, nonnegative=True, subquadratic=True)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.ones(config.d_head))
        self.shift = nn.Parameter(torch.zeros(config.d_head))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        f = d * (d + 1) // 2
        return Cost(
            parameters=projections(c) + 2 * d,
            flops=lambda t: (
                2 * t * projections(c) + polynomial_flops(t, c.n_heads, c.n_kv_heads, d, f, d + 1)
            ),
            cache=lambda t: c.n_kv_heads * f * (d + 1),
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        q, k = (F.layer_norm(y, self.gain.shape, self.gain, self.shift) for y in (q, k))
        return Projected(q, k, v)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(p.q, p.k).square())

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return normalise_rows(scores)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        q = p.q * p.q.shape[-1] ** -0.5
        return normalise(polynomial_mix(q, p.k, with_ones(p.v), torch.square, products)).to(q.dtype)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        q = p.q * p.q.shape[-1] ** -0.5
        q, k, v = (widened(x) for x in (q, p.k, p.v))
        z, state = linear_step(products(q), products(k), with_ones(v), state)
        return normalise(z).to(p.v.dtype), state

    def recurrence(self, p: Projected) -> Recurrence:
        q, k = products(widened(p.q) * p.q.shape[-1] ** -0.5), products(widened(p.k))
        return Recurrence(q=over_row_sums(q, k), k=k)
