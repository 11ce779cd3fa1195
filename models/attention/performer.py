"""Performer, FAVOR+ (Choromanski et al. 2020, arXiv 2009.14794): softmax estimated by chance.

exp(q·k) = E_ω[φ_ω(q) φ_ω(k)] with φ_ω(x) = exp(ω·x - |x|²/2) and ω normal, so the mean over m drawn
directions estimates the softmax kernel without bias; q and k are scaled by D^(-1/4). An estimate's
variance over its squared mean is (exp(|q+k|²) - 1) / m: largest at the largest weights.
"""

import torch
from jaxtyping import Float
from torch import Tensor

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
from models.kernels.softmax import dot, masked


def directions(m: int, d: int) -> Float[Tensor, "m d"]:
    """Normal vectors of width d, orthogonal to each other within each block of d."""
    blocks = []
    for _ in range(-(-m // d)):
        q, r = torch.linalg.qr(torch.randn(d, d))
        # A bare QR prefers some directions, which would bias the estimate; signs make it uniform.
        blocks.append(q * r.diagonal().sign())
    return torch.cat(blocks)[:m] * torch.randn(m, d).norm(dim=-1, keepdim=True)


class Performer(HeadMixer):
    """A_ij = φ(q_i)·φ(k_j) / Σ_{m ≤ i} φ(q_i)·φ(k_m); all heads share the drawn directions."""

    traits = Traits(row_stochastic=True, nonnegative=True, exact=False, subquadratic=True)

    def __init__(self, config: HeadConfig, ratio: int = 4) -> None:
        """`ratio`: drawn directions per dimension of the head."""
        super().__init__(config)
        self.register_buffer("omega", directions(ratio * config.d_head, config.d_head))

    @property
    def cost(self) -> Cost:
        c, (m, d) = self.config, self.omega.shape
        draws = (c.n_heads + c.n_kv_heads) * d * m
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * (projections(c) + draws) + softmaxes_flops(t, c.n_heads, m, d),
            cache=lambda t: c.n_kv_heads * m * (d + 1),
        )

    def logs(self, x: Float[Tensor, "B N T D"]) -> Float[Tensor, "B N T F"]:
        """log φ(x) for every direction."""
        x = widened(x) * x.shape[-1] ** -0.25
        return x @ widened(self.omega).mT - x.square().sum(-1, keepdim=True) / 2

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

    def expected_error(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """Variance / mean² of each estimate of exp(q·k / √D), for independent directions."""
        q, k = (x * x.shape[-1] ** -0.25 for x in (p.q, repeat_groups(p.k, p.q.shape[1])))
        between = (q[:, :, :, None] + k[:, :, None]).square().sum(-1)
        return between.expm1() / len(self.omega)

    def measured_error(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """(estimate / exp(q·k / √D) - 1)² for the directions drawn."""
        q, k = self.logs(p.q), repeat_groups(self.logs(p.k), p.q.shape[1])
        estimate = (q[:, :, :, None] + k[:, :, None] - dot(p.q, p.k)[..., None]).exp().mean(-1)
        return (estimate - 1).square()

    def relative_error(self, p: Projected) -> Float[Tensor, "B H"]:
        """Frobenius distance of the matrix to softmax's, over the norm of softmax's."""
        softmax = masked(dot(p.q, p.k)).softmax(-1)
        return (self.pattern(p) - softmax).norm(dim=(2, 3)) / softmax.norm(dim=(2, 3))
