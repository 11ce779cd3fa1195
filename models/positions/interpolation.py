"""Position interpolation (Chen et al. 2023, arXiv 2306.15595; kaiokendev 2023).

Every angle is divided by the factor, θ_i / s: positions up to s · L come to lie within the trained
L, and neighbours lie s times closer than the model has seen.
"""

from jaxtyping import Float, Num
from torch import Tensor

from models.positions.rotary import Rope, ladder


def frequencies(d: int, rope: Rope, positions: Num[Tensor, " T"]) -> Float[Tensor, " pairs"]:
    """θ_i / s, radians per token."""
    return ladder(d, rope.base, positions.device) / rope.factor
