"""Learned sink logit (gpt-oss, OpenAI 2025): each head may put weight on nothing.

One scalar per head joins the logits and leaves after the softmax, so rows sum to less than one.
What is missing is the head's sink slot; it is never renormalised away.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.softmax import (
    cached,
    dot,
    fused_with_sink,
    masked,
    sink_flops,
    softmax_with_sink,
)


class SinkLogit(HeadMixer):
    """A = softmax([q·k / √D, s_h]) without its last column."""

    traits = Traits(
        row_stochastic=False, nonnegative=True, sink_slot=True, logits=True, side={"sink": "q"}
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.sinks = nn.Parameter(torch.zeros(config.n_heads))

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c) + c.n_heads,
            flops=lambda t: 2 * t * projections(c) + sink_flops(t, c.n_heads, c.d_head, c.d_head),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        sink = self.sinks[:, None].expand(len(x), -1, x.shape[1])
        return Projected(*self.heads.split(x), {"sink": sink})

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return softmax_with_sink(scores, p.extra["sink"])

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5, sink=p.extra["sink"])

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return fused_with_sink(p.q, p.k, p.v, p.extra["sink"])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
