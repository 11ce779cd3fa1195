"""HeadStats: the statistics of a layer's attention matrices, O(n) per head."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.row_state import Spread


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadStats:
    """What `Wanted` asked for; None: not asked for. Sums, so that parts of a sequence add up."""

    visible: Int[Tensor, "#B T"]  # keys that a row may see
    row_sum: Float[Tensor, "B H T"]  # Σ_j A_ij
    every: Spread  # over all visible keys
    rest: Spread | None = None  # over all but the first `apart`
    lse: Float[Tensor, "B H T"] | None = None  # ln of the softmax's denominator; None: no softmax
    distance: Float[Tensor, "B H T"] | None = None  # Σ_j w (i - j)
    argmax: Int[Tensor, "B H T"] | None = None  # token of the largest w; -1 for rows without mass
    top_keys: Int[Tensor, "B H T K"] | None = None  # tokens of the largest w; -1: row is shorter
    top_weights: Float[Tensor, "B H T K"] | None = None  # their A; 0 where there is no key
    columns: Float[Tensor, "B H T C"] | None = None
    offsets: Float[Tensor, "B H T O"] | None = None
    targets: Float[Tensor, "B H T"] | None = None
    lags: Float[Tensor, "B H L"] | None = None  # Σ_i A[i, i - lag], lag = 0, 1, ...
    received: Float[Tensor, "B H S"] | None = None  # Σ_i A[i, j]
    block_sum: Float[Tensor, "B H I J"] | None = None  # Σ of A over a block
    block_peak: Float[Tensor, "B H I J"] | None = None  # the A of largest w in a block
    valued: Float[Tensor, "B H T"] | None = None  # Σ_j w ‖v_j W_O‖

    def received_valued(self, norms: Float[Tensor, "B H S"]) -> Float[Tensor, "B H S"]:
        """Σ_i A_ij ‖v_j W_O‖: what each key is given, weighted by what it writes."""
        return self.received * norms

    def per_head(self) -> dict[str, Float[Tensor, "B H"]]:
        """Means over the rows that see a key, of every number there is one of per row."""
        seen = (self.visible > 0)[:, None] & (self.every.mass > 0)
        found = {"row_sum": self.row_sum, "max": self.every.peak, "lse": self.lse}
        found |= {"target": self.targets}
        if self.every.log is not None:
            found["entropy"] = self.every.entropy
        if self.every.square is not None:
            found |= {"square": self.every.square, "n_eff": self.every.participation}
            found["S"] = (self.every.participation / self.visible[:, None]).sqrt()
        if self.distance is not None:
            found["distance"] = self.distance / self.every.mass
        if self.valued is not None:
            found["valued"] = self.valued
        for name in ("columns", "offsets"):
            parts = getattr(self, name)
            for at in range(0 if parts is None else parts.shape[-1]):
                found[f"{name}[{at}]"] = parts[..., at]
        return {name: mean_over(x, seen) for name, x in found.items() if x is not None}


def mean_over(x: Float[Tensor, "B H T"], seen: Tensor) -> Float[Tensor, "B H"]:
    """Mean over some rows; NaN where there is none."""
    return torch.where(seen, x, 0).sum(-1) / seen.sum(-1)
