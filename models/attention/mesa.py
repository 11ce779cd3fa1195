"""MesaNet (von Oswald et al. 2025, arXiv 2506.05233): the best linear fit of values to keys.

The output at token i is Gᵀ (H + Λ)⁻¹ q with the decayed sums H_i = Σ_j Γ_ij β_j k_j k_jᵀ and
G_i = Σ_j Γ_ij β_j k_j v_jᵀ, |q| = |k| = 1: ridge regression over the past, solved anew at every
token. So A_ij = q_iᵀ (H_i + Λ)⁻¹ k_j Γ_ij β_j. The paper solves by conjugate gradients, we exactly.
An RMS norm per head follows, and a sigmoid gate that the paper does not have. The short
convolutions before q and k are left out; their SiLU is not.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import decay_step, scalar_decay_mix, scalar_decay_scores
from models.kernels.linear import linear_flops
from models.kernels.mesa import fitted, fitted_flops, fitted_step


class Mesa(HeadMixer):
    """`decay` is log of what a token keeps of both sums, at most 0; `beta` in (0, 1)."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, floor: float = 0.25) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        self.floor = floor  # the least entry of Λ, which bounds the condition of H + Λ
        self.W_beta = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.b_beta = nn.Parameter(torch.zeros(g))
        self.W_decay = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.b_decay = nn.Parameter(torch.full((g,), 3.0))  # a head forgets slowly at first
        self.ridge = nn.Parameter(torch.tensor(1 - floor).expm1().log().repeat(g, d))  # Λ = 1
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain = nn.Parameter(torch.ones(d))

    @property
    def cost(self) -> Cost:
        c, d, g = self.config, self.config.d_head, self.config.n_kv_heads
        weights = projections(c) + c.d_model * (c.d_model + 2 * g)
        return Cost(
            parameters=weights + 2 * g + g * d + d,
            flops=lambda t: (
                2 * t * weights
                + fitted_flops(t, c.n_heads, g, d)
                + linear_flops(t, c.n_heads, d, d)
            ),
            cache=lambda t: 2 * g * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        beta, decay = (torch.einsum("bte,ge->bgt", x, w) for w in (self.W_beta, self.W_decay))
        extra = {
            "beta": (beta + self.b_beta[:, None]).sigmoid(),
            "decay": F.logsigmoid(decay + self.b_decay[:, None]),
            "gate": per_head(x, self.W_gate).sigmoid(),
        }
        return Projected(F.normalize(F.silu(q), dim=-1), F.normalize(F.silu(k), dim=-1), v, extra)

    @property
    def penalty(self) -> Float[Tensor, "G D"]:
        """The diagonal of Λ."""
        return F.softplus(self.ridge) + self.floor

    def queries(self, p: Projected) -> Float[Tensor, "B H T D"]:
        """(H_i + Λ)⁻¹ q_i for every token."""
        return fitted(p.q, p.k, p.extra["beta"], p.extra["decay"], self.penalty)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return scalar_decay_scores(self.queries(p), p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores * repeat_groups(p.extra["beta"], p.q.shape[1])[..., None, :]

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        written = p.extra["beta"][..., None] * p.k
        return scalar_decay_mix(self.queries(p), written, p.v, p.extra["decay"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        beta, g = p.extra["beta"], p.extra["decay"]
        gram = None if state is None else state["gram"]
        q, gram = fitted_step(p.q, p.k, beta, g, self.penalty, gram)
        o, memory = decay_step(q, beta[..., None] * p.k, p.v, g, state)
        return o, {"gram": gram, **memory}

    def recurrence(self, p: Projected) -> Recurrence:
        k = p.extra["beta"][..., None] * p.k
        return Recurrence(q=self.queries(p), k=k, g=p.extra["decay"][..., None])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], self.gain, eps=1e-5)
