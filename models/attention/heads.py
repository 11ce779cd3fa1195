"""What most variants share: four projections, positions on q and k, nothing between A·v and W_O."""

from dataclasses import replace

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from models.attention.contract import HeadConfig, Projected, Traits, Turn, repeat_groups


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
        return tuple(per_head(x, weight) for weight in (self.W_Q, self.W_K, self.W_V))

    def join(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        """Write every head's result back to the residual stream and add them up."""
        return torch.einsum("bhtd,hde->bte", z, self.W_O)


class HeadMixer(nn.Module):
    """The common case of contract.Mixer; a variant says what its paper changes.

    Left to the variant: traits, cost, scores, weigh, mix and step.
    """

    traits: Traits

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config, self.heads = config, Heads(config)

    @property
    def W_O(self) -> Float[Tensor, "H D E"]:
        return self.heads.W_O

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        return Projected(*self.heads.split(x))

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        return replace(p, q=turn(p.q, where), k=turn(p.k, where))

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return self.weigh(self.scores(p), p)

    def values(self, p: Projected) -> Float[Tensor, "B H S V"]:
        return repeat_groups(p.v, p.q.shape[1])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        return o

    def merge(self, z: Float[Tensor, "B H T V"]) -> Float[Tensor, "B T E"]:
        return self.heads.join(z)


def unplaced(p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
    """`place` of variants that have positions of their own: q and k stay as they are."""
    return p


def per_head(x: Float[Tensor, "B T E"], weight: Float[Tensor, "N E D"]) -> Float[Tensor, "B N T D"]:
    """Project the residual stream with one matrix per head."""
    return torch.einsum("bte,hed->bhtd", x, weight)


def projections(c: HeadConfig) -> int:
    """Parameters of W_Q, W_K, W_V and W_O; a forward pass takes twice as many FLOPs per token."""
    return 2 * c.d_model * c.d_head * (c.n_heads + c.n_kv_heads)
