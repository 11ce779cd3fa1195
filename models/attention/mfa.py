"""Multi-matrix Factorization Attention (Hu et al. 2024, arXiv 2412.19255; in Step-3, 2025).

Wide heads that share one key and one value: q^h = x S_Q Q_h, k = x S_K, v = x S_V, with heads of
width C and S_Q of rank C, so more heads cost C² numbers each for their queries and no cache.
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits
from models.attention.heads import HeadMixer, per_head
from models.kernels.latent import SoftmaxRoads, roads_cost, weight
from models.kernels.softmax import cached


class MFA(SoftmaxRoads, HeadMixer):
    """Heads of width d_wide (2·D by default) and queries of rank d_query (d_wide by default).

    The paper has one key/value head; with more it is a grouped form of the same.
    """

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True)

    def __init__(
        self, config: HeadConfig, d_wide: int | None = None, d_query: int | None = None
    ) -> None:
        super().__init__(config)
        e, h, g = config.d_model, config.n_heads, config.n_kv_heads
        self.d_wide = 2 * config.d_head if d_wide is None else d_wide
        self.d_query = self.d_wide if d_query is None else d_query
        self.S_Q = weight(e, self.d_query, fan_in=e)
        self.heads.W_Q = weight(h, self.d_query, self.d_wide, fan_in=self.d_query)
        self.heads.W_K, self.heads.W_V = (weight(g, e, self.d_wide, fan_in=e) for _ in range(2))
        self.heads.W_O = weight(h, self.d_wide, e, fan_in=h * self.d_wide)

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.d_wide
        queries = self.d_query * (c.d_model + c.n_heads * d)
        rest = c.d_model * d * (2 * c.n_kv_heads + c.n_heads)
        return roads_cost(c, queries + rest, 2 * c.n_kv_heads * d, d)

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q = per_head(x @ self.S_Q, self.heads.W_Q)
        return Projected(q, per_head(x, self.heads.W_K), per_head(x, self.heads.W_V))

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)
