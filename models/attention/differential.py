"""Differential attention (Ye et al. 2024, arXiv 2410.05258): noise that two maps share cancels.

A = softmax(q1·k1 / √d) - λ softmax(q2·k2 / √d), λ = exp(λq1·λk1) - exp(λq2·λk2) + λ_init, and
z = (1 - λ_init) · RMSNorm(A v) per head. A head of width D has two queries and keys of d = D/2,
rounded up to an even number so that each can rotate.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, per_head
from models.kernels.softmax import cached, dot, fused, masked


class Differential(HeadMixer):
    """Rows sum to 1 - λ. The scores are the first map's; a key that they mask leaves both maps.

    `lambda_init` is one constant in (0, 1), as in the paper's ablation: a layer does not know its
    depth, by which the paper's main runs set it (0.2 in the first layer, towards 0.8 in deep ones).
    """

    traits = Traits(row_stochastic=False, nonnegative=False, logits=True)

    def __init__(self, config: HeadConfig, *, lambda_init: float = 0.8) -> None:
        super().__init__(config)
        self.lambda_init, e = lambda_init, config.d_model
        d = self.d_map = 2 * -(-config.d_head // 4)
        self.heads.W_Q = nn.Parameter(torch.randn(config.n_heads, e, 2 * d) * e**-0.5)
        self.heads.W_K = nn.Parameter(torch.randn(config.n_kv_heads, e, 2 * d) * e**-0.5)
        self.lambdas = nn.Parameter(0.1 * torch.randn(4, d))  # λq1, λk1, λq2, λk2

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.d_map
        weights = c.d_model * (c.n_heads + c.n_kv_heads) * (2 * d + c.d_head)
        return Cost(
            parameters=weights + 4 * d,
            flops=lambda t: 2 * t * weights + 8 * t * t * c.n_heads * max(d, c.d_head),
            cache=lambda t: c.n_kv_heads * (2 * d + c.d_head) * t,
        )

    @property
    def share(self) -> Float[Tensor, ""]:
        """λ, how much of the second map is taken off."""
        q1, k1, q2, k2 = self.lambdas
        return (q1 @ k1).exp() - (q2 @ k2).exp() + self.lambda_init

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        heads = self.heads
        return Projected(*(per_head(x, weight) for weight in (heads.W_Q, heads.W_K, heads.W_V)))

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        q, k = (torch.cat([turn(x, where) for x in x.chunk(2, -1)], -1) for x in (p.q, p.k))
        return replace(p, q=q, k=k)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q.chunk(2, -1)[0], p.k.chunk(2, -1)[0]))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        second = dot(p.q.chunk(2, -1)[1], p.k.chunk(2, -1)[1])
        second = second.masked_fill(scores == -torch.inf, -torch.inf)
        return scores.softmax(-1) - self.share * second.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        wide, d_value = max(self.d_map, p.v.shape[-1]), p.v.shape[-1]
        # Fused kernels want q, k and v of one width: zeros fill up the narrower.
        q, k = (F.pad(torch.cat(x.chunk(2, -1), 1), (0, wide - self.d_map)) for x in (p.q, p.k))
        v = F.pad(torch.cat([p.v, p.v], 1), (0, wide - d_value))
        first, second = fused(q, k, v, scale=self.d_map**-0.5)[..., :d_value].chunk(2, 1)
        return first - self.share * second

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return (1 - self.lambda_init) * F.rms_norm(o, o.shape[-1:], eps=1e-5)
