"""Row and column statistics from an explicit pattern: the slow truth, one layer at a time."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TILE = 32  # thumbnails are at most TILE x TILE


@dataclass(frozen=True)
class RowStats:
    """What is kept of one layer's matrix A; `w` = |A|, `p` = w / Σw. O(T) per head."""

    row_sum: Float[Tensor, "B H T"]  # Σ_j A_ij
    mass: Float[Tensor, "B H T"]  # Σ_j w_ij
    square: Float[Tensor, "B H T"]  # Σ_j A_ij²
    log: Float[Tensor, "B H T"]  # Σ_j w_ij ln w_ij
    peak: Float[Tensor, "B H T"]  # max_j w_ij
    peak_rest: Float[Tensor, "B H T"]  # the same over j ≥ 1
    rest_mass: Float[Tensor, "B H T"]  # Σ_{j≥1} w_ij
    rest_square: Float[Tensor, "B H T"]
    rest_log: Float[Tensor, "B H T"]
    first: Float[Tensor, "B H T C"]  # A_ij of the first C columns
    received: Float[Tensor, "B H T"]  # column means over the rows that can see the column


COLUMNS = 4  # first columns kept row by row


def row_stats(pattern: Float[Tensor, "B H T T"]) -> RowStats:
    """All statistics of a square causal pattern; entries above the diagonal must be zero."""
    t = pattern.shape[-1]
    w = pattern.abs()
    rest = w[..., 1:]
    log = torch.special.xlogy(w, w)
    rest_square, rest_log = rest.square().sum(-1), log[..., 1:].sum(-1)
    no_rest = torch.zeros_like(w[..., 0])
    peak_rest = rest.amax(-1) if t > 1 else no_rest
    first = F.pad(pattern[..., :COLUMNS], (0, max(0, COLUMNS - t)))
    visible = torch.arange(t, 0, -1, device=pattern.device, dtype=pattern.dtype)
    return RowStats(
        row_sum=pattern.sum(-1),
        mass=w.sum(-1),
        square=rest_square + w[..., 0].square(),
        log=rest_log + log[..., 0],
        peak=torch.maximum(peak_rest, w[..., 0]),
        peak_rest=peak_rest,
        rest_mass=rest.sum(-1),
        rest_square=rest_square,
        rest_log=rest_log,
        first=first,
        received=pattern.sum(-2) / visible,
    )


def thumbnail(pattern: Float[Tensor, "B H T T"]) -> Float[Tensor, "B H S S"]:
    """The matrix at thumbnail size: each pixel is the strongest weight under it, sign kept.

    Max, never mean: a single-token head must not fade out of sight.
    """
    if pattern.shape[-1] <= TILE:
        return pattern
    high = F.adaptive_max_pool2d(pattern, TILE)
    if not (pattern < 0).any():
        return high
    low = -F.adaptive_max_pool2d(-pattern, TILE)
    return torch.where(high >= -low, high, low)
