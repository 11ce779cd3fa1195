"""Comba (Hu et al. 2025, arXiv 2506.02475): only what is kept fades, what is corrected does not.

S_t = α_t S_{t-1} + β_t k_t (v_t - b S_{t-1}ᵀ k_t)ᵀ, output S_tᵀ (q_t - d k_t) / √D, with |q| = |k|
= 1, b in (0, 1) per key head and d per query head. At b = 1 and d = 0 this is Gated DeltaNet with
β/α for β and α v for v (Su, kexue 11033, eq. 18-19). An RMS norm per head and a sigmoid gate
follow. The short convolutions before q, k and v are left out; their SiLU is not.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import scaled
from models.kernels.dplr import (
    gated_flops,
    gated_mix,
    gated_scores,
    gated_step,
    gated_weights,
    log_decay,
    slow_start,
)


class Comba(HeadMixer):
    """The delta rule beside a decay; `decay` is log α, at most 0, `beta` in (0, 1)."""

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
        self.W_decay = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.rate, self.b_decay = map(nn.Parameter, slow_start(g))
        self.feedback = nn.Parameter(torch.ones(g))  # b = σ(feedback)
        self.correction = nn.Parameter(torch.full((h,), 0.02))  # d
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain = nn.Parameter(torch.ones(d))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        weights = projections(c) + c.d_model * (c.d_model + 2 * c.n_kv_heads)
        return Cost(
            parameters=weights + 3 * c.n_kv_heads + c.n_heads + d,
            flops=lambda t: 2 * t * weights + gated_flops(t, c.n_heads, c.n_kv_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = (F.silu(one) for one in self.heads.split(x))
        beta, logit = (torch.einsum("bte,ge->bgt", x, w) for w in (self.W_beta, self.W_decay))
        extra = {
            "beta": beta.sigmoid(),
            "decay": log_decay(logit, self.rate, self.b_decay),
            "gate": per_head(x, self.W_gate).sigmoid(),
        }
        return Projected(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, extra)

    def queries(self, p: Projected) -> Float[Tensor, "B H T D"]:
        """(q - d k) / √D: the output is corrected by what a token itself has written."""
        correction = self.correction.to(p.q.dtype)[:, None, None]
        return scaled(p.q - correction * repeat_groups(p.k, p.q.shape[1]))

    def rule(self, p: Projected) -> tuple[Tensor, Tensor, Tensor]:
        """The keys it reads by, b k; β; log α."""
        feedback = self.feedback.sigmoid().to(p.k.dtype)[:, None, None]
        return feedback * p.k, p.extra["beta"], p.extra["decay"]

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return gated_scores(self.queries(p), p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return gated_weights(scores, p.k, *self.rule(p))

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return gated_mix(self.queries(p), p.k, p.v, *self.rule(p))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return gated_step(self.queries(p), p.k, p.v, *self.rule(p), state)

    def recurrence(self, p: Projected) -> Recurrence:
        read, beta, g = self.rule(p)
        k = beta[..., None] * p.k
        return Recurrence(q=self.queries(p), k=k, g=g[..., None], a=read, b=-k)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], self.gain, eps=1e-5)
