"""Wanted: which statistics of an attention matrix to compute; what is not asked for is not paid."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """Row mass, its largest weight and, for softmax, the log-sum-exp come always; the rest by name.

    Tokens count from 0. `w` is |A|, which is A itself where no entry is negative.
    """

    apart: int = 0  # leading keys told apart: row sums are also given without them
    entropy: bool = False  # Σ_j w ln w, from which the entropy of w / Σw follows
    square: bool = False  # Σ_j A²
    distance: bool = False  # Σ_j w (i - j)
    argmax: bool = False  # the key of the largest w
    top: int = 0  # that many keys of largest w, and their A
    columns: tuple[int, ...] = ()  # A at these keys, row by row
    offsets: tuple[int, ...] = ()  # A at the key so many tokens back, row by row
    targets: Int[Tensor, "B T"] | None = None  # A at one key of each row's own; -1: none
    lags: bool = False  # Σ_i A[i, i - lag], for every lag
    received: bool = False  # Σ_i A[i, j], for every key
    block: int = 0  # side, in tokens, of the blocks of the heat map
    valued: bool = False  # Σ_j w ‖v_j W_O‖; needs the norms

    def __post_init__(self) -> None:
        for name in ("apart", "top", "block"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} counts tokens and is 0 or more, got {getattr(self, name)}"
                )
        if min((*self.columns, *self.offsets, 0)) < 0:
            raise ValueError(
                f"columns and offsets are 0 or more, got {self.columns} and {self.offsets}"
            )
