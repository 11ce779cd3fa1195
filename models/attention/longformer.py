"""Longformer (Beltagy et al. 2020, arXiv 2004.05150), causal: a window and global tokens.

G is the first g tokens. A row outside G reads keys j with i - j <= w/2 or j in G, by q, k, v; a row
of G reads all before it by projections of its own, q_g, k_g, v_g. Hence two columns per token, one
local and one global: each row uses one kind. Theirs looks ahead as well, as `both_ways` does; a row
here is theirs for the last token of its prefix.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, per_head, projections
from models.kernels.masks import at_least_one, grown, places, see_all
from models.kernels.softmax import dot, fused, masked
from models.kernels.zones import keep_sinks, sink_flops, sink_mix, sink_scores


class Longformer(HeadMixer):
    """w = `window`, the sum of both sides in the paper, even; g = `n_global`."""

    traits = Traits(
        row_stochastic=True,
        nonnegative=True,
        logits=True,
        subquadratic=True,
        keys_per_token=2,
        side={"q_global": "q"},
    )

    def __init__(self, config: HeadConfig, window: int = 64, n_global: int = 4) -> None:
        super().__init__(config)
        at_least_one(window=window, n_global=n_global)
        if window % 2:
            raise ValueError(f"window must be even, half of it on each side, got {window}")
        self.reach, self.n_global = window // 2 + 1, n_global
        e, d, h, g = config.d_model, config.d_head, config.n_heads, config.n_kv_heads
        self.W_Q_global = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.W_K_global = nn.Parameter(torch.randn(g, e, d) * e**-0.5)
        self.W_V_global = nn.Parameter(torch.randn(g, e, d) * e**-0.5)

    @property
    def cost(self) -> Cost:
        c, g, reach = self.config, self.n_global, self.reach
        parameters = projections(c) + c.d_model * c.d_head * (c.n_heads + 2 * c.n_kv_heads)
        return Cost(
            parameters=parameters,
            flops=lambda t: (
                2 * t * parameters
                + sink_flops(t, c.n_heads, g, reach, c.d_head)
                + 4 * min(t, g) ** 2 * c.d_model
            ),
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * (min(t, g + reach) + (t <= g) * t),
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        k = pairs(k, per_head(x, self.W_K_global))
        v = pairs(v, per_head(x, self.W_V_global))
        return Projected(q, k, v, {"q_global": per_head(x, self.W_Q_global)})

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        extra = {"q_global": turn(p.extra["q_global"], where)}
        return replace(p, q=turn(p.q, where), k=turn(p.k, where.repeat_interleave(2)), extra=extra)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        k, k_global = apart(p.k)
        near = dot(p.q, k)
        local = sink_scores(near, near[..., : self.n_global], self.reach)
        rows, _ = places(*near.shape[-2:], near.device)
        outside = rows >= self.n_global
        whole = masked(dot(p.extra["q_global"], k_global))
        local = local.masked_fill(~outside, -torch.inf)
        return torch.stack([local, whole.masked_fill(outside, -torch.inf)], -1).flatten(-2)

    def both_ways(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """The paper's own matrix, which also looks ahead: w/2 to either side, all rows see G."""
        k, k_global = apart(p.k)
        rows, keys = places(p.q.shape[2], k.shape[2], p.q.device)
        allowed = ((rows - keys).abs() < self.reach) | (keys < self.n_global)
        outside = rows >= self.n_global
        local = dot(p.q, k).masked_fill(~(allowed & outside), -torch.inf)
        whole = dot(p.extra["q_global"], k_global).masked_fill(outside, -torch.inf)
        return torch.stack([local, whole], -1).flatten(-2).softmax(-1)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        g, (k, k_global), (v, v_global) = self.n_global, apart(p.k), apart(p.v)
        first = (x[:, :, :g] for x in (p.extra["q_global"], k_global, v_global))
        local = sink_mix(p.q, k, v, dot(p.q, k[:, :, :g]), self.reach)
        return torch.cat([fused(*first), local[:, :, g:]], 2)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        (k, k_global), (v, v_global) = apart(p.k), apart(p.v)
        kept = grown(state, k=k, v=v)
        kept = {name: keep_sinks(x, self.n_global, self.reach) for name, x in kept.items()}
        if kept["k"].shape[2] > self.n_global:  # no row of G is left to read global keys
            return see_all(p.q, kept["k"], kept["v"]), kept
        whole = grown(state, k_global=k_global, v_global=v_global)
        o = see_all(p.extra["q_global"], whole["k_global"], whole["v_global"])
        return o, kept | whole


def pairs(
    local: Float[Tensor, "B G T D"], whole: Float[Tensor, "B G T D"]
) -> Float[Tensor, "B G T2 D"]:
    """A local and a global row for every token, in turn."""
    return torch.stack([local, whole], 3).flatten(2, 3)


def apart(
    x: Float[Tensor, "B G T2 D"],
) -> tuple[Float[Tensor, "B G T D"], Float[Tensor, "B G T D"]]:
    """The local and the global rows."""
    return x[:, :, 0::2], x[:, :, 1::2]
