"""Self-Extend (Jin et al. 2024, arXiv 2401.01325, github.com/datamllab/LongLM): grouped positions.

A = softmax(q·k / √D) over all keys, rotated by i - j below W, and from there on by
⌊i / G⌋ + W - ⌊W / G⌋ - ⌊j / G⌋: far tokens share positions in groups of G.
"""

from dataclasses import replace

from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.kernels.masks import at_least_one
from models.kernels.softmax import by_rows
from models.kernels.zones import zone_flops, zone_scores, zone_step


class SelfExtend(HeadMixer):
    """Groups of G = `group` tokens beyond W = `window` (theirs: G = 8, W = 1024)."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, side={"q_far": "q"})

    def __init__(self, config: HeadConfig, window: int = 32, group: int = 8) -> None:
        super().__init__(config)
        at_least_one(window=window, group=group)
        self.window, self.group = window, group

    @property
    def cost(self) -> Cost:
        c, width = self.config, self.config.n_kv_heads * self.config.d_head
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + zone_flops(t, c.n_heads, c.d_head),
            cache=lambda t: width * (2 * t + min(t, self.window)),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        shared = where // self.group
        ahead = self.window - self.window // self.group
        far = {"q_far": turn(p.q, shared + ahead), "k_far": turn(p.k, shared)}
        return replace(p, q=turn(p.q, where), k=turn(p.k, where), extra=dict(p.extra) | far)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return zone_scores(p, self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return by_rows(self, p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return zone_step(self, p, state, self.window)
