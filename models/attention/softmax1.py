"""Softmax-off-by-one (Miller 2023, "Attention is off by one"): a head may attend to nothing.

A_ij = exp(z_ij) / (1 + Σ_m exp(z_im)) with z = q·k / √D: a key with logit 0 and value 0 stands
beside all others, and takes what no token deserves.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
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


class Softmax1(HeadMixer):
    """A = softmax([q·k / √D, 0]) without its last column."""

    traits = Traits(
        row_stochastic=False, nonnegative=True, sink_slot=True, logits=True, side={"sink": "q"}
    )

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + sink_flops(t, c.n_heads, c.d_head, c.d_head),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        return Projected(q, k, v, {"sink": q.new_zeros(q.shape[:3])})

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
