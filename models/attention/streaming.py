"""StreamingLLM (Xiao et al. 2023, arXiv 2309.17453): attention sinks and a sliding window.

The S first keys and the R most recent ones stay; positions count inside that cache. A query at i
therefore sees recent keys at distance i - j, and sink j at min(i, S + R - 1) - j.
"""

from dataclasses import replace

from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.kernels.masks import at_least_one
from models.kernels.softmax import cached, dot
from models.kernels.zones import keep_sinks, sink_flops, sink_mix, sink_scores


class Streaming(HeadMixer):
    """S `sinks` and R = `window` recent keys, the query's own among them."""

    traits = Traits(
        row_stochastic=True, nonnegative=True, logits=True, subquadratic=True, side={"q_far": "q"}
    )

    def __init__(self, config: HeadConfig, sinks: int = 4, window: int = 32) -> None:
        super().__init__(config)
        at_least_one(sinks=sinks, window=window)
        self.sinks, self.window = sinks, window

    @property
    def cost(self) -> Cost:
        c, s, r = self.config, self.sinks, self.window
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + sink_flops(t, c.n_heads, s, r, c.d_head),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * min(t, s + r),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        # Only differences turn the scores, so the query alone can stand at its place in the cache.
        inside = where.clamp(max=self.sinks + self.window - 1)
        extra = dict(p.extra) | {"q_far": turn(p.q, inside)}
        return replace(p, q=turn(p.q, where), k=turn(p.k, where), extra=extra)

    def far(self, p: Projected) -> Float[Tensor, "B H T A"]:
        """Scores of the sinks once they have left the window."""
        return dot(p.extra["q_far"], p.k[:, :, : self.sinks])

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return sink_scores(dot(p.q, p.k), self.far(p), self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return sink_mix(p.q, p.k, p.v, self.far(p), self.window)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state, keep=lambda x: keep_sinks(x, self.sinks, self.window))
