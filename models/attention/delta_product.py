"""Gated DeltaProduct (Siems et al. 2025, arXiv 2502.10297): several corrections per token.

Every token has r keys, values and write strengths and writes them one after the other, so its state
transition is a product of r generalised Householder matrices; it fades once, before its first
write, and reads after its last:
S_{t,i} = S_{t,i-1} + β_{t,i} k_{t,i} (v_{t,i} - S_{t,i-1}ᵀ k_{t,i})ᵀ with S_{t,0} = α_t S_{t-1,r}.
The matrix has r columns per token: it is Gated DeltaNet's over all r T writes, one row in r. β goes
up to 2, where a write reflects and transitions have negative eigenvalues. An RMS norm per head and
a swish gate follow. The short convolutions before q, k and v are left out; their SiLU is not.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
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

WRITES = 2  # r, writes per token: a trait of the matrix, so the same for every layer


class DeltaProduct(HeadMixer):
    """r = 2 delta rules per token; `decay` is log α, at most 0, `beta` [B, G, T, r] in (0, 2)."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        keys_per_token=WRITES,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        # Writes after a token's first; its first uses the W_K and W_V of all variants.
        self.W_K_more = nn.Parameter(torch.randn(WRITES - 1, g, e, d) * e**-0.5)
        self.W_V_more = nn.Parameter(torch.randn(WRITES - 1, g, e, d) * e**-0.5)
        self.W_beta = nn.Parameter(torch.randn(WRITES, g, e) * e**-0.5)
        self.W_decay = nn.Parameter(torch.randn(g, e) * e**-0.5)
        self.rate, self.b_decay = map(nn.Parameter, slow_start(g))
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain = nn.Parameter(torch.ones(d))

    @property
    def cost(self) -> Cost:
        c, d, e, g = self.config, self.config.d_head, self.config.d_model, self.config.n_kv_heads
        more = g * e * (2 * (WRITES - 1) * d + WRITES + 1)
        weights = projections(c) + e * e + more
        return Cost(
            parameters=weights + 2 * g + d,
            flops=lambda t: 2 * t * weights + gated_flops(t, c.n_heads, g, d, d, WRITES),
            cache=lambda t: g * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        k, v = (
            F.silu(torch.stack([first, *(per_head(x, w) for w in more)], 3).flatten(2, 3))
            for first, more in ((k, self.W_K_more), (v, self.W_V_more))
        )
        logit = torch.einsum("bte,ge->bgt", x, self.W_decay)
        extra = {
            "beta": 2 * torch.einsum("bte,rge->bgtr", x, self.W_beta).sigmoid(),
            "decay": log_decay(logit, self.rate, self.b_decay),
            "gate": F.silu(per_head(x, self.W_gate)),
        }
        return Projected(F.normalize(F.silu(q), dim=-1), F.normalize(k, dim=-1), v, extra)

    def fades(self, p: Projected) -> Float[Tensor, "B G R"]:
        """log α at a token's first write and 0, no decay, at the others."""
        return F.pad(p.extra["decay"][..., None], (0, WRITES - 1)).flatten(2)

    def rule(self, p: Projected) -> tuple[Tensor, Tensor, Tensor]:
        """The keys it reads by, which find a memory that has faded already; β; log α per write."""
        g = self.fades(p)
        return p.k * g.exp()[..., None].to(p.k.dtype), p.extra["beta"].flatten(2), g

    def scores(self, p: Projected) -> Float[Tensor, "B H T R"]:
        return gated_scores(scaled(p.q), p.k, self.fades(p))

    def weigh(self, scores: Float[Tensor, "B H T R"], p: Projected) -> Float[Tensor, "B H T R"]:
        return gated_weights(scores, p.k, *self.rule(p))

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return gated_mix(scaled(p.q), p.k, p.v, *self.rule(p))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return gated_step(scaled(p.q), p.k, p.v, *self.rule(p), state)

    def recurrence(self, p: Projected) -> Recurrence:
        read, beta, g = self.rule(p)
        k = beta[..., None] * p.k
        return Recurrence(q=scaled(p.q), k=k, g=g[..., None], a=read, b=-k)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * F.rms_norm(o, o.shape[-1:], self.gain, eps=1e-5)
