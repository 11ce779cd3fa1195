"""Fixed sparse attention, merged (Sparse Transformer, Child et al. 2019, arXiv 1904.10509).

A = softmax(q·k / √D) over the query's own block of l tokens, and over the last c tokens of every
earlier block, which learn to sum their block up. Merged, as the second set alone leaves the first
rows without a key.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, projections
from models.kernels.linear import chunks
from models.kernels.masks import at_least_one, filled, grown, joint_softmax, places, see_all
from models.kernels.softmax import dot, masked


class Fixed(HeadMixer):
    """Blocks of l = `block` tokens, c = `summary` of which stay visible (paper: 128 and 8)."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, block: int = 32, summary: int = 4) -> None:
        super().__init__(config)
        at_least_one(block=block, summary=summary)
        if summary > block:
            raise ValueError(f"summary={summary} must be at most block={block}")
        self.block, self.summary = block, summary

    @property
    def cost(self) -> Cost:
        c, l, s = self.config, self.block, self.summary

        def flops(t: int) -> int:
            rows = filled(t, l)
            return 2 * t * projections(c) + 4 * rows * c.d_model * (l + rows // l * s)

        return Cost(
            parameters=projections(c),
            flops=flops,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * ((t - 1) // l * s + (t - 1) % l + 1),
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        rows, keys = places(*logits.shape[-2:], logits.device)
        own, last = rows // self.block == keys // self.block, self.block - self.summary
        return masked(logits, own | (keys % self.block >= last))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        h, t = p.q.shape[1:3]
        q = chunks(p.q * p.q.shape[-1] ** -0.5, self.block)
        k, v = (chunks(repeat_groups(x, h), self.block) for x in (p.k, p.v))
        sums_k, sums_v = (x[:, :, :, -self.summary :].flatten(2, 3) for x in (k, v))
        near, far = q @ k.mT, (q.flatten(2, 3) @ sums_k.mT).unflatten(2, (-1, self.block))
        rows, keys = places(self.block, self.block, q.device)
        near = near.masked_fill(keys > rows, -torch.inf)
        blocks = torch.arange(q.shape[2], device=q.device)
        later = blocks[:, None] <= blocks.repeat_interleave(self.summary)
        far, near = joint_softmax(far.masked_fill(later[:, None], -torch.inf), near)
        return (far.flatten(2, 3) @ sums_v + (near @ v).flatten(2, 3))[:, :, :t]

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        if state is None:
            none = {"sums_k": p.k[:, :, :0], "sums_v": p.v[:, :, :0]}
            kept = grown(None, k=p.k, v=p.v) | none
        elif state["k"].shape[2] == self.block:  # the block is full: only its last tokens stay
            last = {f"sums_{n}": state[n][:, :, -self.summary :] for n in "kv"}
            kept = grown(None, k=p.k, v=p.v) | grown(state, **last)
        else:
            kept = dict(state) | grown(state, k=p.k, v=p.v)
        k, v = (torch.cat([kept[f"sums_{n}"], kept[n]], 2) for n in "kv")
        return see_all(p.q, k, v), kept
