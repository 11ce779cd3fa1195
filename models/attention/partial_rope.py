"""Partial RoPE (GPT-J; GPT-NeoX-20B, Black et al. 2022, arXiv 2204.06745; kexue 10907).

Only the last d_r of a head's D dimensions are turned, the rest match content at any distance:
q·k = q_n·k_n + q_rᵀ R_{j-i} k_r. GPT-NeoX turns the first d_r, which is a relabelling.
"""

from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, Turn
from models.attention.heads import HeadMixer, projections
from models.kernels.latent import SoftmaxRoads, even_share, place_last, roads_cost
from models.kernels.softmax import cached


class PartialRope(SoftmaxRoads, HeadMixer):
    """Softmax attention that turns d_rope dimensions of q and k: even, a quarter of D by default.

    A head of one dimension has nothing but that one to turn, which rotary positions refuse.
    """

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(self, config: HeadConfig, d_rope: int | None = None) -> None:
        super().__init__(config)
        d = config.d_head
        self.d_rope = min(d, even_share(d, 4)) if d_rope is None else d_rope

    @property
    def cost(self) -> Cost:
        c = self.config
        return roads_cost(c, projections(c), 2 * c.n_kv_heads * c.d_head, c.d_head)

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        return place_last(p, self.d_rope, where, turn)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
