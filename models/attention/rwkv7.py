"""RWKV-7 (Peng et al. 2025, arXiv 2503.14456): remove along one vector, write along another.

S_t = (diag(w_t) - (a_t ⊙ κ_t) κ_tᵀ) S_{t-1} + k_t v_tᵀ, output S_tᵀ r_t, with a unit removal key κ,
a removal rate a in (0, 1) per channel and a decay w = exp(-e^(-1/2) σ(·)): diagonal plus low rank,
A = A_rk + A_rb (I - A_κb)⁻¹ A_κk. A layer norm per head, a bonus (r_t·(ρ ⊙ k_t)) v_t for the token
itself and a gate follow. The shift that mixes each token with the one before it, and the values
that later layers take over from the first, are left out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import vector_decay_scores
from models.kernels.dplr import dplr_flops, dplr_mix, dplr_step, dplr_weights


class RWKV7(HeadMixer):
    """`decay` is log w in (-0.61, 0), `removal` is κ, `rate` is a; k is the key that is written."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, rank: int = 16) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        for name, n in (("decay", g), ("rate", g), ("gate", h)):
            low, high = torch.randn(e, rank) * e**-0.5, torch.randn(n, rank, d) * rank**-0.5
            self.register_parameter(f"W_{name}_low", nn.Parameter(low))
            self.register_parameter(f"W_{name}", nn.Parameter(high))
        # Channels start out with decays from fast to slow.
        self.b_decay = nn.Parameter(torch.linspace(0.5, -5.5, d).repeat(g, 1))
        self.b_rate = nn.Parameter(torch.full((g, d), -0.19))
        self.removal = nn.Parameter(torch.full((g, d), 0.71))
        self.replacement = nn.Parameter(torch.full((g, d), 1.02))
        self.bonus = nn.Parameter(torch.full((h, d), -0.04))
        self.gain, self.shift = nn.Parameter(torch.ones(h, d)), nn.Parameter(torch.zeros(h, d))

    @property
    def cost(self) -> Cost:
        c, d, g = self.config, self.config.d_head, self.config.n_kv_heads
        rank = self.W_gate.shape[1]
        weights = projections(c) + rank * (3 * c.d_model + (2 * g + c.n_heads) * d)
        return Cost(
            parameters=weights + (4 * g + 3 * c.n_heads) * d,
            flops=lambda t: 2 * t * weights + dplr_flops(t, c.n_heads, g, d, d),
            cache=lambda t: g * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        logit = per_head((x @ self.W_decay_low).tanh(), self.W_decay) + self.b_decay[:, None]
        rate = (per_head(x @ self.W_rate_low, self.W_rate) + self.b_rate[:, None]).sigmoid()
        extra = {
            "decay": -(torch.e**-0.5) * logit.sigmoid(),
            "removal": F.normalize(k * self.removal[:, None], dim=-1),
            "rate": rate,
            "gate": per_head((x @ self.W_gate_low).sigmoid(), self.W_gate),
        }
        return Projected(q, k * (1 + (rate - 1) * self.replacement[:, None]), v, extra)

    def low_rank(self, p: Projected) -> tuple[Tensor, Tensor, Tensor]:
        """a, b and log w of `dplr_mix`."""
        removal = p.extra["removal"]
        return -removal, p.extra["rate"] * removal, p.extra["decay"]

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return vector_decay_scores(p.q, p.k, p.extra["decay"])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return dplr_weights(scores, p.q, p.k, *self.low_rank(p))

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return dplr_mix(p.q, p.k, p.v, *self.low_rank(p))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return dplr_step(p.q, p.k, p.v, *self.low_rank(p), state)

    def recurrence(self, p: Projected) -> Recurrence:
        a, b, g = self.low_rank(p)
        return Recurrence(q=p.q, k=p.k, g=g, a=a, b=b)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        o = F.layer_norm(o, o.shape[-1:], eps=o.shape[-1] * 1e-5)
        k, v = (repeat_groups(x, p.q.shape[1]) for x in (p.k, p.v))
        bonus = (p.q * self.bonus[:, None] * k).sum(-1, keepdim=True) * v
        return (o * self.gain[:, None] + self.shift[:, None] + bonus) * p.extra["gate"]
