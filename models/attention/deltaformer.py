"""DeltaFormer (Zhong et al. 2025, arXiv 2505.19488): softmax reads what a softmax delta rule wrote.

u_t = v_t - β_t Σ_{s<t} softmax_{s<t}(k_t·k_s / √D) u_s, output Σ_{s<=t} softmax(q_t·k_s / √D) u_s:
A = softmax(QKᵀ/√D) (I + diag β · softmax_strict(KKᵀ/√D))⁻¹, signed, rows sum to anything.
The writes compare keys with keys, as in kexue 11033; flash-linear-attention's packaged
`naive_deltaformer_attn` compares queries with keys there too.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, projections
from models.kernels.delta import solve_unit
from models.kernels.feedback import softmax_writes, softmax_writes_flops, strict_softmax
from models.kernels.softmax import dot, fused, masked


class DeltaFormer(HeadMixer):
    """A write strength β in (0, 1) per key; scores are the reading weights, before the solve."""

    traits = Traits(row_stochastic=False, nonnegative=False, solves=True)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        e = config.d_model
        self.W_beta = nn.Parameter(torch.randn(config.n_kv_heads, e) * e**-0.5)

    @property
    def cost(self) -> Cost:
        c, d, g = self.config, self.config.d_head, self.config.n_kv_heads
        parameters = projections(c) + g * c.d_model
        return Cost(
            parameters=parameters,
            flops=lambda t: (
                2 * t * parameters + softmax_writes_flops(t, g, d, d) + 4 * t * t * c.d_model
            ),
            cache=lambda t: 2 * g * d * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        beta = torch.einsum("bte,ge->bgt", x, self.W_beta).sigmoid()
        return Projected(*self.heads.split(x), {"beta": beta})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k)).softmax(-1)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        eye = torch.eye(p.k.shape[2], dtype=p.k.dtype, device=p.k.device)
        system = p.extra["beta"][..., None] * strict_softmax(dot(p.k, p.k))
        written = solve_unit(system, eye.expand_as(system))
        return scores @ repeat_groups(written, p.q.shape[1])

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        u, d = softmax_writes(p.k, p.v, p.extra["beta"]), p.q.shape[-1]
        # Of values wider than keys stock kernels write the whole matrix down.
        q, k = (F.pad(x, (0, max(0, u.shape[-1] - d))) for x in (p.q, p.k))
        return fused(q, k, u, scale=d**-0.5)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        k, u = p.k, p.v
        if state is not None:
            recalled = dot(k, state["k"]).softmax(-1) @ state["u"]
            u = torch.cat([state["u"], u - p.extra["beta"][..., None] * recalled], 2)
            k = torch.cat([state["k"], k], 2)
        a = dot(p.q, k).softmax(-1)
        return a @ repeat_groups(u, p.q.shape[1]), {"k": k, "u": u}
