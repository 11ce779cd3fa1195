"""Mamba-2, state space duality (Dao and Gu 2024, arXiv 2405.21060): a state space model as a mask.

A_ij = C_i·B_j · exp(-a_h Σ_{j < m <= i} dt_m) · dt_j, plus the skip D_h on the diagonal. C, B and x
stand where q, k and v do elsewhere; all heads of a group share C and B, every head has its own x,
step width dt and rate a = exp(A_log). A SiLU gate and then an RMS norm over the heads of a group
follow. The paper's convolution over four tokens before its SiLU on C, B and x is left out.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, unplaced
from models.forms import Recurrence
from models.kernels.decay import decay_step, scalar_decay_mix, scalar_decay_scores
from models.kernels.linear import linear_flops


class Mamba2(HeadMixer):
    """Extras: `dt`, the width of a step, above 0; `decay` = -a·dt, what log leaves of the state."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        grouped=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, d_state: int = 64, n_groups: int = 1) -> None:
        super().__init__(config)
        if config.n_heads % n_groups:
            raise ValueError(f"n_heads={config.n_heads} is not a multiple of n_groups={n_groups}")
        h, e, d = config.n_heads, config.d_model, config.d_head
        self.n_groups = n_groups
        # C and B, twice as wide as usual at first: the state is faint beside the skip of x.
        self.heads.W_Q = nn.Parameter(2 * torch.randn(n_groups, e, d_state) * e**-0.5)
        self.heads.W_K = nn.Parameter(2 * torch.randn(n_groups, e, d_state) * e**-0.5)
        self.W_dt = nn.Parameter(torch.randn(h, e) * e**-0.5)
        dt = torch.empty(h).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.b_dt = nn.Parameter(dt + (-torch.expm1(-dt)).log())  # softplus gives dt back
        self.A_log = nn.Parameter(torch.arange(1, h + 1).log())
        self.D = nn.Parameter(torch.ones(h))
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain = nn.Parameter(torch.ones(h, d))

    @property
    def cost(self) -> Cost:
        h, e, d = self.config.n_heads, self.config.d_model, self.config.d_head
        n = self.heads.W_Q.shape[-1]
        weights = 3 * e * e + e * h + 2 * self.n_groups * e * n
        return Cost(
            parameters=weights + 3 * h + e,
            flops=lambda t: 2 * t * weights + linear_flops(t, h, n, d),
            cache=lambda t: h * n * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        h = self.config.n_heads
        q, k, v = (F.silu(per_head(x, w)) for w in (self.heads.W_Q, self.heads.W_K, self.heads.W_V))
        dt = F.softplus(torch.einsum("bte,he->bht", x, self.W_dt) + self.b_dt[:, None])
        extra = {
            "dt": dt,
            "decay": -self.A_log.exp()[:, None] * dt,
            "gate": F.silu(per_head(x, self.W_gate)),
        }
        return Projected(repeat_groups(q, h), repeat_groups(k, h), v, extra)

    def written(self, p: Projected) -> Float[Tensor, "B H T D"]:
        """Keys, as strong as their step is wide."""
        return p.k * p.extra["dt"][..., None]

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        skip = torch.diag_embed(self.D[:, None].expand(-1, p.q.shape[2]))
        return scalar_decay_scores(p.q, self.written(p), p.extra["decay"]) + skip

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        mixed = scalar_decay_mix(p.q, self.written(p), p.v, p.extra["decay"])
        return mixed + self.D[:, None, None] * p.v

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        o, state = decay_step(p.q, self.written(p), p.v, p.extra["decay"], state)
        return o + self.D[:, None, None] * p.v, state

    def recurrence(self, p: Projected) -> Recurrence:
        g, k = p.extra["decay"][..., None], self.written(p)
        own = (p.q * k).sum(-1) + self.D[:, None]
        return Recurrence(q=p.q * g.exp(), k=k, g=g, own=own)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        y = (o * p.extra["gate"]).unflatten(1, (self.n_groups, -1))
        inverse_rms = (y.square().mean((2, 4), keepdim=True) + 1e-5).rsqrt()
        return (y * inverse_rms).flatten(1, 2) * self.gain[:, None]
