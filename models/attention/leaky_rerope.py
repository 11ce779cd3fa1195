"""Leaky ReRoPE (Su 2023, kexue.fm/archives/9708, github.com/bojone/rerope): slower beyond w.

A = softmax(q·k / √D) over all keys, rotated by i - j below w and by w + (i - j - w) / k from there
on. k = 1 is rotary attention, k = ∞ is ReRoPE.
"""

from dataclasses import replace

from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.kernels.masks import at_least_one
from models.kernels.softmax import by_rows
from models.kernels.zones import zone_flops, zone_scores, zone_step


class LeakyReRoPE(HeadMixer):
    """Distances beyond w = `window` grow k = `leak` times slower (theirs: w = 512, k = 16)."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, side={"q_far": "q"})

    def __init__(self, config: HeadConfig, window: int = 32, leak: float = 16.0) -> None:
        super().__init__(config)
        at_least_one(window=window)
        if leak < 1:
            raise ValueError(f"leak must be at least 1, got {leak}")
        self.window, self.leak = window, leak

    @property
    def cost(self) -> Cost:
        c, width = self.config, self.config.n_kv_heads * self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + zone_flops(t, c.n_heads, c.d_head),
            cache=lambda t: width * (2 * t + min(t, self.window)),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        slow = where.double() / self.leak
        ahead = self.window - self.window / self.leak
        far = {"q_far": turn(p.q, slow + ahead), "k_far": turn(p.k, slow)}
        return replace(p, q=turn(p.q, where), k=turn(p.k, where), extra=dict(p.extra) | far)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return zone_scores(p, self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return zone_step(self, p, state, self.window)
