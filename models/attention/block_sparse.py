"""Block-sparse attention (Child et al. 2019, arXiv 1904.10509; any mask by blocks as in
FlexAttention, Dong et al. 2024, arXiv 2412.05496).

A = softmax(q·k / √D) over the keys j <= i whose block the layout shows to the block of i.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, projections
from models.kernels.linear import chunks
from models.kernels.masks import at_least_one, filled, places
from models.kernels.softmax import cached, dot, masked

# Numbers of query blocks and key blocks, which broadcast, to True where the one may read the other.
Layout = Callable[[Tensor, Tensor], Tensor]


def powers_of_two(rows: Tensor, keys: Tensor) -> Tensor:
    """Blocks at distances 0, 1, 2, 4, 8, ...: T log T in all (LogSparse, Li et al. 2019)."""
    distance = rows - keys
    return distance & (distance - 1) == 0


class BlockSparse(HeadMixer):
    """Blocks of `block` tokens under a `layout`; every block must see itself.

    A fixed boolean table is the layout `lambda rows, keys: table[rows, keys]`.
    """

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, block: int = 16, layout: Layout = powers_of_two) -> None:
        super().__init__(config)
        at_least_one(block=block)
        self.block, self.layout = block, layout

    @property
    def cost(self) -> Cost:
        c, w = self.config, self.block

        def flops(t: int) -> int:
            pairs = int(self.table(filled(t, w) // w).sum()) * w * w
            return 2 * t * projections(c) + 4 * pairs * c.d_model

        return Cost(
            parameters=projections(c),
            flops=flops,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def table(self, n_blocks: int) -> Bool[Tensor, "R K"]:
        """The layout of the first `n_blocks` blocks, without the future; raises ValueError if a
        block does not see itself."""
        blocks = torch.arange(n_blocks, device="cpu")
        table = self.layout(blocks[:, None], blocks[None, :]).tril()
        if not table.diagonal().all():
            raise ValueError("the layout must show every block to itself, or rows would be empty")
        return table

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        rows, keys = places(*logits.shape[-2:], logits.device)
        table = self.table(filled(logits.shape[-1], self.block) // self.block).to(logits.device)
        return masked(logits, table[rows // self.block, keys // self.block])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        q, k, v = (chunks(x, self.block) for x in (p.q, p.k, p.v))
        out = []
        for row, seen in enumerate(self.table(q.shape[2])):
            blocks = seen.nonzero().flatten().tolist()  # the last one is the row's own
            keys, values = k[:, :, blocks].flatten(2, 3), v[:, :, blocks].flatten(2, 3)
            visible = keys.new_ones(self.block, keys.shape[2], dtype=torch.bool)
            visible = visible.tril(keys.shape[2] - self.block)
            out.append(
                F.scaled_dot_product_attention(
                    q[:, :, row], keys, values, attn_mask=visible, enable_gqa=True
                )
            )
        return torch.cat(out, 2)[:, :, : p.q.shape[2]]

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
