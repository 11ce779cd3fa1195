"""Gated linear attention (Yang et al. 2023, arXiv 2312.06635): every key channel has its own decay.

S_t = diag(α_t) S_{t-1} + k_t v_tᵀ, so A_ij = Σ_d q_id k_jd / √D · Π_{j < m <= i} α_md. The decay
comes from the token through a bottleneck of 16, α = σ(x W_low W_decay + b)^(1/16). A norm per head
(RMS, as in the authors' code; the paper writes LayerNorm) and a swish gate with a bias follow.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import (
    decay_step,
    scaled,
    vector_decay_flops,
    vector_decay_mix,
    vector_decay_scores,
)


class GLA(HeadMixer):
    """Linear attention with a decay per key channel; `decay` is log α, at most 0."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, rank: int = 16, temperature: float = 16.0) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        self.temperature = temperature
        self.W_low = nn.Parameter(torch.randn(e, rank) * e**-0.5)
        self.W_decay = nn.Parameter(torch.randn(g, rank, d) * rank**-0.5)
        self.b_decay = nn.Parameter(torch.zeros(g, d))
        # Gates start open and nearly alike: random ones would hide the heads from the first steps.
        self.W_gate = nn.Parameter(0.2 * torch.randn(h, e, d) * e**-0.5)
        self.b_gate = nn.Parameter(torch.ones(h, d))
        self.gain = nn.Parameter(torch.ones(d))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        low = self.W_low.numel() + self.W_decay.numel()
        weights = projections(c) + c.d_model**2 + low
        return Cost(
            parameters=weights + (c.n_kv_heads + c.n_heads + 1) * d,
            flops=lambda t: 2 * t * weights + vector_decay_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        logit = per_head(x @ self.W_low, self.W_decay) + self.b_decay[:, None]
        extra = {
            "decay": F.logsigmoid(logit) / self.temperature,
            "gate": F.silu(per_head(x, self.W_gate) + self.b_gate[:, None]),
        }
        return Projected(*self.heads.split(x), extra)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return vector_decay_scores(scaled(p.q), p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return vector_decay_mix(scaled(p.q), p.k, p.v, p.extra["decay"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return decay_step(scaled(p.q), p.k, p.v, p.extra["decay"], state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=scaled(p.q), k=p.k, g=p.extra["decay"])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], self.gain, eps=1e-5)
