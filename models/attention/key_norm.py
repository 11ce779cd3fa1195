"""KeyNorm, KNA (Su 2023, kexue 9859): A = softmax(q·k / ‖k‖), so no key is loud by its length.

There is no 1/√D: ‖k‖ is about √D when training starts. What a head prefers it must say by angle,
which that post found to help beyond the trained length.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked


class KeyNorm(HeadMixer):
    """Softmax attention over keys of length 1."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * t * t * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        return Projected(q, F.normalize(k, dim=-1), v)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k, scale=1.0))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=1.0)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return fused(p.q, p.k, p.v, scale=1.0)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
