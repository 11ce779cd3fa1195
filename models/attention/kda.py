"""Kimi Delta Attention (Kimi Linear, 2025, arXiv 2510.26692): every key channel forgets by itself.

S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ, output S_tᵀ q_t / √D, with |q| = |k| = 1:
Gated DeltaNet whose decay is a vector. The log decay comes from the token through a bottleneck as
wide as a head, and so does the sigmoid gate that follows an RMS norm per head. The short
convolutions before q, k and v are left out; their SiLU is not.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import scaled, vector_decay_scores
from models.kernels.delta import solve_unit
from models.kernels.dplr import dplr_flops, dplr_mix, dplr_step, log_decay, slow_start


class KDA(HeadMixer):
    """The delta rule with a decay per channel; `decay` is log α, at most 0, `beta` in (0, 1)."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        self.W_beta = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.W_decay_low = nn.Parameter(torch.randn(e, d) * e**-0.5)
        self.W_decay = nn.Parameter(torch.randn(g, d, d) * d**-0.5)
        self.rate, self.b_decay = map(nn.Parameter, slow_start(g, d))
        self.W_gate_low = nn.Parameter(torch.randn(e, d) * e**-0.5)
        self.W_gate = nn.Parameter(torch.randn(h, d, d) * d**-0.5)
        self.gain = nn.Parameter(torch.ones(d))

    @property
    def cost(self) -> Cost:
        c, d, g = self.config, self.config.d_head, self.config.n_kv_heads
        weights = projections(c) + c.d_model * (g + 2 * d) + (g + c.n_heads) * d * d
        return Cost(
            parameters=weights + g + g * d + d,
            flops=lambda t: 2 * t * weights + dplr_flops(t, c.n_heads, g, d, d),
            cache=lambda t: g * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = (F.silu(one) for one in self.heads.split(x))
        logit = per_head(x @ self.W_decay_low, self.W_decay)
        extra = {
            "beta": torch.einsum("bte,ge->bgt", x, self.W_beta).sigmoid(),
            "decay": log_decay(logit, self.rate, self.b_decay),
            "gate": per_head(x @ self.W_gate_low, self.W_gate).sigmoid(),
        }
        return Projected(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, extra)

    def rule(self, p: Projected) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The same as diagonal plus low rank: k, v, a, b and log α of `dplr_mix`."""
        g, written = p.extra["decay"], p.extra["beta"][..., None] * p.k
        return written, p.v, p.k * g.exp().to(p.k.dtype), -written, g

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return vector_decay_scores(scaled(p.q), p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        beta = p.extra["beta"]
        system = beta[..., None] * vector_decay_scores(p.k, p.k, p.extra["decay"]).tril(-1)
        return scores @ repeat_groups(solve_unit(system, beta.diag_embed()), p.q.shape[1])

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return dplr_mix(scaled(p.q), *self.rule(p))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return dplr_step(scaled(p.q), *self.rule(p), state)

    def recurrence(self, p: Projected) -> Recurrence:
        k, _, a, b, g = self.rule(p)
        return Recurrence(q=scaled(p.q), k=k, g=g, a=a, b=b)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], self.gain, eps=1e-5)
