"""YaRN (Peng et al. 2023, arXiv 2309.00071): fast pairs stay, slow pairs are interpolated.

θ'_i = [γ_i + (1 - γ_i) / s] θ_i, and logits grow by (0.1 ln s + 1)². Here, as in the authors'
code and in transformers, γ falls linearly in the pair's index i, from the pair that makes 32 turns
in the trained length L (rounded down) to the pair that makes one (rounded up). The formula in the
paper and in kexue.fm/archives/9948 is linear in the turns r_i = θ_i L / 2π themselves:
γ_i = clamp((r_i - 1) / (32 - 1), 0, 1). As r falls off exponentially in i, the formula interpolates
the pairs in between more: they turn up to 59 % slower (d = 64, base 10000, L = 2048, s = 8).
"""

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.positions.rotary import Rope, ladder, trained_length

MANY, ONE = 32, 1  # turns in the trained length that keep a pair; that still do not stretch it


def frequencies(d: int, rope: Rope, positions: Num[Tensor, " T"]) -> Float[Tensor, " pairs"]:
    """θ'_i, radians per token."""
    theta = ladder(d, rope.base, positions.device)
    first, last = ramp(d, rope)
    index = torch.arange(d // 2, dtype=torch.float64, device=positions.device)
    # A ramp without width is a step right after its pair.
    interpolated = ((index - first) / max(last - first, 1)).clamp(0, 1)
    return theta * (1 - interpolated + interpolated / rope.factor)


def scale(rope: Rope) -> float:
    """What q and k are multiplied by, each: 0.1 ln s + 1."""
    return 0.1 * math.log(rope.factor) + 1


def ramp(d: int, rope: Rope) -> tuple[int, int]:
    """The last pair that is kept and the first that is fully interpolated.

    The second may lie beyond the last pair, d/2 - 1: then no pair is fully interpolated.
    Raises ValueError where they come in the wrong order: trained lengths of a few tokens, in which
    no pair turns once, or bases so low that every pair turns often.
    """
    length = trained_length(rope, "yarn")

    def pair(turns: int) -> float:
        return d * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(rope.base))

    first, last = max(math.floor(pair(MANY)), 0), min(math.ceil(pair(ONE)), d - 1)
    if first > last:
        raise ValueError(
            f"yarn has no ramp for base {rope.base}, trained length {length} and head width {d}: "
            f"it would run from pair {first} back to pair {last}; choose ntk or pi"
        )
    return first, last
