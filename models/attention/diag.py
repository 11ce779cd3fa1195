"""DiagAttention (TransNormer, Qin et al. 2022, arXiv 2210.10340): softmax inside blocks.

The sequence falls into blocks of w tokens that do not see each other:
A = softmax(q·k / √D) over the keys j <= i of the query's own block.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.kernels.linear import chunks
from models.kernels.masks import at_least_one, filled, fold, places, unfold
from models.kernels.softmax import cached, dot, fused, masked


class Diag(HeadMixer):
    """Blocks of `block` tokens; TransNormer has these layers below and linear ones above."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, subquadratic=True)

    def __init__(self, config: HeadConfig, block: int = 32) -> None:
        super().__init__(config)
        at_least_one(block=block)
        self.block = block

    @property
    def cost(self) -> Cost:
        c, w = self.config, self.block
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * filled(t, w) * w * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * ((t - 1) % w + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        rows, keys = places(*logits.shape[-2:], logits.device)
        return masked(logits, rows // self.block == keys // self.block)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        q, k, v = (fold(chunks(x, self.block)) for x in (p.q, p.k, p.v))
        return unfold(fused(q, k, v), len(p.q), p.q.shape[2])

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        full = state is not None and state["k"].shape[2] == self.block
        return cached(self, p, None if full else state)
