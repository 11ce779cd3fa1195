"""Entropy-invariant scaling, log n (Su 2021, kexue 8823; in this form Su 2023, kexue 9948).

A = softmax(λ_i q_i·k_j / √D), λ_i = max(1, log n / log L) where query i sees n = i + 1 keys: past
the length L that the model was trained on, sharper logits keep the rows' entropy from growing.
"""

import math
from dataclasses import replace

from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked


class LogN(HeadMixer):
    """Softmax attention whose queries grow with the logarithm of their position.

    `trained` is L, in tokens and at least 2; 64 suits toys, kexue 8823 takes 512.
    """

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, *, trained: int = 64) -> None:
        super().__init__(config)
        self.trained = trained

    @property
    def cost(self) -> Cost:
        c = self.config
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * t * t * c.d_model,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        sharper = ((where + 1).double().log() / math.log(self.trained)).clamp_min(1)
        return replace(p, q=turn(p.q, where) * sharper.to(p.q.dtype)[:, None], k=turn(p.k, where))

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
