"""A learned token in front (Gu et al. 2025, arXiv 2410.10781, section 7.3; Xiao et al. 2024).

Its embedding x* gives k* = W_K x* and v* = W_V x* at position -1; out_i = v* + Σ_j A_ij (v_j - v*).
The papers put one token before the first layer; here every layer has its own x* in place of that
token's normalised residual stream, so that each layer's matrix stays T x T.
"""

from dataclasses import replace

import torch
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
from models.forms import Dots
from models.kernels.sinks import less_sink_value, plus_sink_value, sink_logit
from models.kernels.softmax import (
    cached,
    dot,
    fused_with_sink,
    masked,
    sink_flops,
    softmax_with_sink,
)


class SinkToken(HeadMixer):
    """Softmax attention over [x*, x], written over the tokens alone."""

    traits = Traits(
        row_stochastic=False, nonnegative=True, sink_slot=True, logits=True, side={"sink": "q"}
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.sink_token = nn.Parameter(torch.randn(config.d_model))

    @property
    def sink_value(self) -> Float[Tensor, "G V"]:
        """v*, the same for every query."""
        return per_head(self.sink_token[None, None], self.heads.W_V)[0, :, 0]

    @property
    def cost(self) -> Cost:
        c = self.config
        once = c.n_kv_heads * c.d_model * c.d_head  # one of k*, v* for the matrix and v* after it
        return Cost(
            parameters=projections(c) + c.d_model,
            flops=lambda t: (
                2 * t * (projections(c) + c.d_model)
                + 6 * once
                + sink_flops(t, c.n_heads, c.d_head, c.d_head)
            ),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        key = per_head(self.sink_token[None, None], self.heads.W_K)
        q, key = turn(p.q, where), turn(key, where.new_full((1,), -1))
        return replace(p, q=q, k=turn(p.k, where), extra={"sink": sink_logit(q, key[0, :, 0])})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return softmax_with_sink(scores, p.extra["sink"])

    def values(self, p: Projected) -> Float[Tensor, "B H S V"]:
        return repeat_groups(less_sink_value(p.v, self.sink_value), p.q.shape[1])

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5, sink=p.extra["sink"])

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        v = less_sink_value(p.v, self.sink_value)
        return fused_with_sink(p.q, p.k, v, p.extra["sink"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return plus_sink_value(o, self.sink_value)
