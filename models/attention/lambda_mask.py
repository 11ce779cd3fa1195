"""LM-Infinite (Han et al. 2023, arXiv 2308.16137): a mask shaped like Λ, distances cut off at L.

A query reads the S first keys and the R most recent ones, all at distance min(i - j, L), with
L >= R so that recent keys keep their own.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import (
    Cost,
    HeadConfig,
    Projected,
    State,
    Traits,
    Turn,
    repeat_groups,
)
from models.attention.heads import HeadMixer, projections
from models.kernels.masks import at_least_one
from models.kernels.softmax import cached, dot
from models.kernels.zones import keep_sinks, sink_flops, sink_mix, sink_scores


class LambdaMask(HeadMixer):
    """S `sinks`, R = `window` recent keys, no distance above L = `limit` (theirs has L = R)."""

    traits = Traits(
        row_stochastic=True, nonnegative=True, logits=True, subquadratic=True, side={"q_far": "q"}
    )

    def __init__(
        self, config: HeadConfig, sinks: int = 4, window: int = 32, limit: int = 32
    ) -> None:
        super().__init__(config)
        at_least_one(sinks=sinks, window=window)
        if limit < window:
            raise ValueError(f"limit={limit} must be at least window={window}")
        self.sinks, self.window, self.limit = sinks, window, limit

    @property
    def cost(self) -> Cost:
        c, s, r = self.config, self.sinks, self.window
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + sink_flops(t, c.n_heads, s, r, c.d_head),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * min(t, s + r),
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        # One turned query per sink, so that the cache holds every key once.
        far = [turn(p.q, where.clamp(max=self.limit + sink)) for sink in range(self.sinks)]
        extra = dict(p.extra) | {"q_far": torch.stack(far, 3)}
        return replace(p, q=turn(p.q, where), k=turn(p.k, where), extra=extra)

    def far(self, p: Projected) -> Float[Tensor, "B H T A"]:
        """Scores of the sinks once they have left the window."""
        k = repeat_groups(p.k[:, :, : self.sinks], p.q.shape[1])
        q = p.extra["q_far"][..., : k.shape[2], :]
        return torch.einsum("bhtad,bhad->bhta", q, k) * q.shape[-1] ** -0.5

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return sink_scores(dot(p.q, p.k), self.far(p), self.window)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        return sink_mix(p.q, p.k, p.v, self.far(p), self.window)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state, keep=lambda x: keep_sinks(x, self.sinks, self.window))
