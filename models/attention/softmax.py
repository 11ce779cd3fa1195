"""Softmax attention (Vaswani et al. 2017); MHA, MQA (Shazeer 2019), GQA (Ainslie et al. 2023)."""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked


class Softmax(HeadMixer):
    """A = softmax(q·k / √D); how many query heads share a key/value head is only a width."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * t * t * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return fused(p.q, p.k, p.v)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
