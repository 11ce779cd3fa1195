"""Forgetting Transformer, FoX (Lin et al. 2025, arXiv 2503.02130): softmax with a forget gate.

A = softmax(q_i·k_j / √D + Σ_{τ=j+1..i} log f_τ), f = σ(w·x + b). The gates are FoX's positions.
One gate per key/value head: gates go with the keys, and without groups it is the paper's.
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
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.feedback import pairs
from models.kernels.softmax import BLOCK, by_rows, cached, dot, masked


class Fox(HeadMixer):
    """Softmax attention whose logits lose what was forgotten between key and query."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, rotary=False)

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        e = config.d_model
        self.W_forget = nn.Parameter(torch.randn(config.n_kv_heads, e) * e**-0.5)
        self.b_forget = nn.Parameter(torch.zeros(config.n_kv_heads))

    @property
    def cost(self) -> Cost:
        c = self.config
        weights = projections(c) + c.n_kv_heads * c.d_model
        return Cost(
            parameters=weights + c.n_kv_heads,
            flops=lambda t: 2 * t * weights + 4 * c.d_model * pairs(t, BLOCK),
            cache=lambda t: c.n_kv_heads * (2 * c.d_head + 1) * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        gate = torch.einsum("bte,ge->bgt", x, self.W_forget) + self.b_forget[:, None]
        return Projected(*self.heads.split(x), {"log_forget": F.logsigmoid(gate)})

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        return p

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        # Differences of long sums: in float32 a few thousand tokens would cost four digits.
        gone = p.extra["log_forget"].double().cumsum(-1)
        since = gone[..., -p.q.shape[2] :, None] - gone[..., None, :]
        return masked(dot(p.q, p.k) + repeat_groups(since.to(p.q.dtype), p.q.shape[1]))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        gone = repeat_groups(p.extra["log_forget"].double().cumsum(-1), p.q.shape[1])
        here = gone[..., -p.q.shape[2] :]
        scale = p.q.shape[-1] ** -0.5
        return Dots(q=p.q, k=p.k, scale=scale, query_bias=here, key_bias=-gone)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
