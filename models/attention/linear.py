"""Linear attention with φ = elu + 1 (Katharopoulos et al. 2020): normalised, but no softmax."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import HeadConfig, Projected, Traits, causal_mask, repeat_groups
from models.attention.heads import Heads

CHUNK = 64  # rows handled at once by `mix`: memory is O(T · CHUNK), not O(T²)


def feature(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """φ(x) = elu(x) + 1, positive everywhere."""
    return F.elu(x) + 1


class Linear(nn.Module):
    """A_ij = φ(q_i)·φ(k_j) / Σ_{m ≤ i} φ(q_i)·φ(k_m)."""

    traits = Traits(
        row_stochastic=True,
        nonnegative=True,
        cache_elements=lambda c, t: c.n_kv_heads * c.d_head * (c.d_head + 1),
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.heads = Heads(config)

    @property
    def W_O(self) -> Float[Tensor, "H D E"]:
        return self.heads.W_O

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        return Projected(*self.heads.split(x))

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        kernel = feature(p.q) @ repeat_groups(feature(p.k), p.q.shape[1]).mT
        return kernel.masked_fill(~causal_mask(*kernel.shape[-2:], kernel.device), 0)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        # φ can underflow to zero; the clamp turns 0/0 into 0 and changes nothing else.
        return scores / scores.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return self.weigh(self.scores(p), p)

    def mix(self, p: Projected) -> Float[Tensor, "B H T D"]:
        h, t = p.q.shape[1:3]
        tail = -t % CHUNK
        # A column of ones carries the normaliser through the same sums as the values.
        v = F.pad(repeat_groups(p.v, h), (0, 1), value=1)
        q, k = feature(p.q), repeat_groups(feature(p.k), h)
        q, k, v = (F.pad(x, (0, 0, 0, tail)).unflatten(2, (-1, CHUNK)) for x in (q, k, v))
        state = (k.mT @ v).cumsum(2)
        before = F.pad(state[:, :, :-1], (0, 0, 0, 0, 1, 0))  # the sum over earlier chunks
        within = (q @ k.mT).tril() @ v
        z = (q @ before + within).flatten(2, 3)[:, :, :t]
        return z[..., :-1] / z[..., -1:].clamp_min(torch.finfo(z.dtype).tiny)

    def merge(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        return self.heads.join(z)
