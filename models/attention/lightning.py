"""Lightning attention (TransNormerLLM, Qin et al. 2023, arXiv 2307.14995; MiniMax-01, 2501.08313).

A_ij = q_i·k_j · exp(-s_h (i-j)) with ALiBi's slopes s_h = 2^(-8(h+1)/H), without 1/√D. q, k and v
pass a SiLU first; an RMS norm over all heads at once and a sigmoid gate follow. The published
models also lower the slopes from layer to layer; here every layer has those of the first.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import decay_step, scalar_decay_mix, scalar_decay_scores, steady
from models.kernels.linear import linear_flops


class Lightning(HeadMixer):
    """Linear attention with a fixed decay per query head, from e^(-1/2^(8/H)) to e^(-1/256)."""

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
        h, e, d = config.n_heads, config.d_model, config.d_head
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain = nn.Parameter(torch.ones(h, d))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        weights = projections(c) + c.d_model**2
        return Cost(
            parameters=weights + c.d_model,
            flops=lambda t: 2 * t * weights + linear_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = (F.silu(part) for part in self.heads.split(x))
        return Projected(q, k, v, {"gate": per_head(x, self.W_gate).sigmoid()})

    def decay(self, q: Float[Tensor, "B H T D"]) -> Float[Tensor, "1 H T"]:
        """-s_h, the same at every token."""
        h = self.config.n_heads
        head = torch.arange(1, h + 1, dtype=torch.float64, device=q.device)
        return steady(-torch.exp2(-8 * head / h), q)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return scalar_decay_scores(p.q, p.k, self.decay(p.q))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return scalar_decay_mix(p.q, p.k, p.v, self.decay(p.q))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return decay_step(p.q, p.k, p.v, self.decay(p.q), state)

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=p.q, k=p.k, g=self.decay(p.q)[..., None])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        inverse_rms = (o.square().mean((1, 3), keepdim=True) + 1e-6).rsqrt()
        return p.extra["gate"] * self.gain[:, None] * o * inverse_rms
