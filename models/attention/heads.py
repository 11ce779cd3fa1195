"""The four projections every variant shares, held by composition; weights as TransformerLens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import HeadConfig


class Heads(nn.Module):
    """W_Q, W_K, W_V, W_O without biases; W_K and W_V have one entry per key/value head."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        e, d, h, g = config.d_model, config.d_head, config.n_heads, config.n_kv_heads
        self.W_Q = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.W_K = nn.Parameter(torch.randn(g, e, d) * e**-0.5)
        self.W_V = nn.Parameter(torch.randn(g, e, d) * e**-0.5)
        self.W_O = nn.Parameter(torch.randn(h, d, e) * e**-0.5)

    def split(
        self, x: Float[Tensor, "B T E"]
    ) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B G T D"], Float[Tensor, "B G T D"]]:
        """Project the residual stream to queries, keys and values."""
        return tuple(
            torch.einsum("bte,hed->bhtd", x, weight) for weight in (self.W_Q, self.W_K, self.W_V)
        )

    def join(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        """Write every head's result back to the residual stream and add them up."""
        return torch.einsum("bhtd,hde->bte", z, self.W_O)
