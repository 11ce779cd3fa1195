"""PaTH (Yang et al. 2025, arXiv 2505.16381): positions as products of data-dependent reflections.

Logit_ij = q_iᵀ H_i ... H_{j+1} k_j / √D with H_s = I - β_s w_s w_sᵀ, |w_s| = 1, β_s in (0, 2), or
QKᵀ⊙M - (QWᵀ⊙M)(I + diag β WWᵀ⊙M⁻)⁻¹ diag β (WKᵀ⊙M⁻) for all pairs at once, where M keeps j ≤ i
and M⁻ keeps j < i. The paper's short convolution on w is left out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from models.attention.contract import (
    Cost,
    HeadConfig,
    Projected,
    State,
    Traits,
    Turn,
    repeat_groups,
)
from models.attention.heads import HeadMixer, per_head, projections
from models.kernels.delta import writes
from models.kernels.feedback import path_flops, path_mix
from models.kernels.linear import causal
from models.kernels.softmax import dot, masked


class Path(HeadMixer):
    """Softmax attention whose keys are reflected by every later token; w comes at low rank."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, rotary=False, solves=True)

    def __init__(self, config: HeadConfig, rank: int = 32) -> None:
        super().__init__(config)
        e, g = config.d_model, config.n_kv_heads
        self.rank = rank  # of the map from x to all w together, >= 1
        self.W_down = nn.Parameter(torch.randn(e, rank) * e**-0.5)
        self.W_up = nn.Parameter(torch.randn(g, rank, config.d_head) * rank**-0.5)
        self.W_beta = nn.Parameter(torch.randn(g, e) * e**-0.5)

    @property
    def cost(self) -> Cost:
        c, d, g = self.config, self.config.d_head, self.config.n_kv_heads
        parameters = projections(c) + self.rank * (c.d_model + g * d) + g * c.d_model
        return Cost(
            parameters=parameters,
            flops=lambda t: 2 * t * parameters + path_flops(t, c.n_heads, g, d, d),
            cache=lambda t: 2 * g * d * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        w = F.normalize(per_head(x @ self.W_down, self.W_up), dim=-1)
        beta = 2 * torch.einsum("bte,ge->bgt", x, self.W_beta).sigmoid()
        return Projected(*self.heads.split(x), {"w": w, "beta": beta})

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        return p

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        w, reads = p.extra["w"], causal(dot(p.q, p.extra["w"], scale=1.0))
        inner = writes(w, p.extra["beta"], (w @ p.k.mT).tril(-1))
        logits = dot(p.q, p.k, scale=1.0) - reads @ repeat_groups(inner, p.q.shape[1])
        return masked(logits * p.q.shape[-1] ** -0.5)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return path_mix(p.q, p.k, p.v, p.extra["w"], p.extra["beta"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        k, v, w = p.k, p.v, p.extra["w"]
        if state is not None:
            # The new token reflects every key before it, so old w need not be kept.
            old = state["k"] - p.extra["beta"][..., None] * (state["k"] @ w.mT) @ w
            k, v = torch.cat([old, k], 2), torch.cat([state["v"], v], 2)
        a = dot(p.q, k).softmax(-1)
        return a @ repeat_groups(v, p.q.shape[1]), {"k": k, "v": v}
