"""NTK-aware RoPE: a higher base instead of closer positions (bloc97 2023; kexue.fm/archives/9675).

base → base · s^(d/(d-2)). The slowest pair turns s times slower, as under position interpolation;
the fastest pair, which tells neighbours apart, is left alone. Untuned models follow to about half
of s times their length. (ABF, Xiong et al. 2023, arXiv 2309.16039, raises the base to a value of
choice and trains on: set rope_base.)

Dynamic NTK (emozilla 2023) takes s from the sequence: s · length / L - (s - 1), at least 1, with L
the trained length; factor 1 stretches just as far as the sequence needs. The length is the largest
position + 1. So every angle depends on how long the sequence is: the same prefix turns otherwise in
a longer one, and in decoding with a cache the keys kept from before stay as they were turned then.
transformers does the same, and moreover keeps the longest length it has met until a sequence within
the trained length comes; here nothing is remembered.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.positions.rotary import Rope, ladder, trained_length


def frequencies(d: int, rope: Rope, positions: Num[Tensor, " T"]) -> Float[Tensor, " pairs"]:
    """The ladder of base · s^(d/(d-2)), radians per token."""
    return stretched(d, rope, torch.tensor(rope.factor, dtype=torch.float64), positions)


def dynamic(d: int, rope: Rope, positions: Num[Tensor, " T"]) -> Float[Tensor, " pairs"]:
    """The same with the s that a sequence of largest position + 1 tokens needs."""
    length = (positions.max() + 1).double()
    reach = rope.factor * length / trained_length(rope, "dynamic-ntk") - (rope.factor - 1)
    return stretched(d, rope, reach.clamp(min=1), positions)


def stretched(
    d: int, rope: Rope, by: Float[Tensor, ""], positions: Num[Tensor, " T"]
) -> Float[Tensor, " pairs"]:
    """The ladder whose slowest pair is `by` times slower; a width of 2 has no slower pair."""
    if d == 2:
        raise ValueError(
            f"NTK stretches the slow pairs and keeps the fastest, and a head width of {d} has no "
            "other; choose pi, or wider heads"
        )
    return ladder(d, rope.base * by.to(positions.device) ** (d / (d - 2)), positions.device)
