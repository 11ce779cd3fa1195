"""ReRoPE (Su 2023, kexue.fm/archives/9708, github.com/bojone/rerope): no distance beyond w.

A = softmax(q·k / √D) over all keys, rotated by min(i - j, w): near keys at their own distance, and
all others at w, so that no distance is new to a model trained on w + 1 tokens or more.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.kernels.masks import at_least_one
from models.kernels.softmax import by_rows
from models.kernels.zones import zone_flops, zone_scores, zone_step


class ReRoPE(HeadMixer):
    """Distances cut off at w = `window`."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, side={"q_far": "q"})

    def __init__(self, config: HeadConfig, window: int = 32) -> None:
        super().__init__(config)
        at_least_one(window=window)
        self.window = window

    @property
    def cost(self) -> Cost:
        c, width = self.config, self.config.n_kv_heads * self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + zone_flops(t, c.n_heads, c.d_head),
            cache=lambda t: width * (2 * t + min(t, self.window)),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        far = {
            "q_far": turn(p.q, torch.full_like(where, self.window)),
            "k_far": turn(p.k, torch.zeros_like(where)),
        }
        return replace(p, q=turn(p.q, where), k=turn(p.k, where), extra=dict(p.extra) | far)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return zone_scores(p, self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return zone_step(self, p, state, self.window)
