"""Gated attention unit, GAU (Hua et al. 2022, arXiv 2202.10447), scaled as in Su 2022, kexue 8934.

z = silu(x W_z), q = γ_q ⊙ z + β_q and k = γ_k ⊙ z + β_k; A_ij = relu(q_i·k_j / √D)² / n over the
n = i + 1 keys that query i sees; out = (u ⊙ A v) W_O with v = silu(x W_V), u = silu(x W_gate).
The paper has one head, 128 wide for q and k and 2E for v, and n = T for all rows; here each head
scales the one z in its own way.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head
from models.kernels.feedback import pairs
from models.kernels.linear import causal
from models.kernels.softmax import BLOCK, by_rows, cached, dot


class GAU(HeadMixer):
    """No softmax: what a key gets depends on no other key."""

    traits = Traits(row_stochastic=False, nonnegative=True, side={"gate": "q"})

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        self.heads.W_Q = self.heads.W_K = None
        self.W_z = nn.Parameter(torch.randn(e, d) * e**-0.5)
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        # Near one: every row starts by reading all its keys, none cut off by relu.
        self.q_scale, self.q_offset = (near_one(h, d) for _ in range(2))
        self.k_scale, self.k_offset = (near_one(g, d) for _ in range(2))

    @property
    def cost(self) -> Cost:
        c = self.config
        weights = c.d_model * c.d_head * (1 + 2 * c.n_heads + c.n_kv_heads)
        return Cost(
            parameters=weights + 2 * c.d_head * (c.n_heads + c.n_kv_heads),
            flops=lambda t: 2 * t * weights + 4 * c.d_model * pairs(t, BLOCK),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        z = F.silu(x @ self.W_z)[:, None]
        q = z * self.q_scale[:, None] + self.q_offset[:, None]
        k = z * self.k_scale[:, None] + self.k_offset[:, None]
        v, gate = (F.silu(per_head(x, weight)) for weight in (self.heads.W_V, self.W_gate))
        return Projected(q, k, v, {"gate": gate})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        t, s = scores.shape[-2:]
        seen = torch.arange(s - t + 1, s + 1, device=scores.device)
        return scores.relu().square() / seen.to(scores.dtype)[:, None]

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return p.extra["gate"] * o


def near_one(*shape: int) -> nn.Parameter:
    """Ones, but no two heads alike."""
    return nn.Parameter(1 + 0.1 * torch.randn(shape))
