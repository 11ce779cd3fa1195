"""DeltaNet (Schlag et al. 2021; chunked form Yang et al. 2024): write what the memory got wrong.

State S_t = S_{t-1} + β_t k_t (v_t - S_{t-1}ᵀ k_t)ᵀ, output S_tᵀ q_t / √D, with |q| = |k| = 1.
The matrix is signed and its rows sum to anything:
A = tril(QKᵀ/√D) (I + diag β tril(KKᵀ,-1))⁻¹ diag β.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, projections
from models.forms import Recurrence
from models.kernels.delta import delta_flops, delta_mix, delta_step, writes
from models.kernels.linear import causal
from models.kernels.softmax import dot


class Delta(HeadMixer):
    """The delta rule with unit queries and keys and a write strength β in (0, 1) per key."""

    traits = Traits(row_stochastic=False, nonnegative=False, subquadratic=True)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        e = config.d_model
        self.W_beta = nn.Parameter(torch.randn(config.n_kv_heads, e) * e**-0.5)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        parameters = projections(c) + c.n_kv_heads * c.d_model
        return Cost(
            parameters=parameters,
            flops=lambda t: 2 * t * parameters + delta_flops(t, c.n_heads, c.n_kv_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        beta = torch.einsum("bte,ge->bgt", x, self.W_beta).sigmoid()
        return Projected(
            F.normalize(F.silu(q), dim=-1), F.normalize(F.silu(k), dim=-1), v, {"beta": beta}
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return causal(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        eye = torch.eye(p.k.shape[-2], dtype=p.k.dtype, device=p.k.device)
        written = writes(p.k, p.extra["beta"], eye.expand(*p.k.shape[:2], -1, -1))
        return scores @ repeat_groups(written, p.q.shape[1])

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return delta_mix(p.q * p.q.shape[-1] ** -0.5, p.k, p.v, p.extra["beta"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return delta_step(p.q * p.q.shape[-1] ** -0.5, p.k, p.v, p.extra["beta"], state)

    def recurrence(self, p: Projected) -> Recurrence:
        k = p.extra["beta"][..., None] * p.k
        return Recurrence(q=p.q * p.q.shape[-1] ** -0.5, k=k, a=p.k, b=-k)
