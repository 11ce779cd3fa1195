"""KV biases (Gu et al. 2025, arXiv 2410.10781, section 7.3): a learned key k* and its value v*.

With the sink's column the rows of A sum to 1, so out_i = v* + Σ_j A_ij (v_j - v*): the matrix over
the tokens stays square, and `readout` adds v*. k* stands at no position, as in K biases.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, projections
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


class KVBias(HeadMixer):
    """Softmax attention with one more key and value per key/value head, drawn like any other."""

    traits = Traits(
        row_stochastic=False, nonnegative=True, sink_slot=True, logits=True, side={"sink": "q"}
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.sink_key = nn.Parameter(torch.randn(config.n_kv_heads, config.d_head))
        self.sink_value = nn.Parameter(torch.randn(config.n_kv_heads, config.d_head))

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c) + 2 * c.n_kv_heads * c.d_head,
            flops=lambda t: (
                2 * t * (projections(c) + c.d_model) + sink_flops(t, c.n_heads, c.d_head, c.d_head)
            ),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        return Projected(q, k, v, {"sink": sink_logit(q, self.sink_key)})

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
