"""Sliding window attention (Longformer, Beltagy et al. 2020, arXiv 2004.05150; Mistral 7B, Jiang et
al. 2023, arXiv 2310.06825).

A = softmax(q·k / √D) over the keys i - W < j <= i: the window counts the query's own key.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, lags
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.masks import at_least_one, window_flops, window_mix
from models.kernels.softmax import cached, dot, masked


class Window(HeadMixer):
    """Each query reads its own key and the `window` - 1 before it."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, subquadratic=True)

    def __init__(self, config: HeadConfig, window: int = 32) -> None:
        super().__init__(config)
        at_least_one(window=window)
        self.window = window

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: (
                2 * t * projections(c) + window_flops(t, c.n_heads, self.window, c.d_head)
            ),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * min(t, self.window),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        return masked(logits, lags(*logits.shape[-2:], logits.device) < self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5, window=self.window)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return window_mix(p.q, p.k, p.v, self.window)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state, keep=lambda x: x[:, :, -self.window :])
