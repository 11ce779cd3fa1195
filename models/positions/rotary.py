"""Rotary positions: q and k turn by their place (Su et al. 2021, RoFormer, arXiv 2104.09864).

Pair i of a head's D dims turns by position · θ_i radians, θ_i = base^(-2i/D), so that q·k depends
on the distance alone. What shall reach past the trained length changes the θ_i, a paper a file.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rope:
    """What a rotary scheme is told. Raises ValueError for numbers that make no rotation."""

    base: float = 10000.0  # above 1; the slowest pair makes a turn in about 2π · base tokens
    factor: float = 1.0  # s, how many times the trained length shall be read; at least 1
    trained: int | None = None  # tokens of a training sequence; some schemes must know it

    def __post_init__(self) -> None:
        if not (math.isfinite(self.base) and self.base > 1):
            raise ValueError(f"the RoPE base must be finite and above 1, got {self.base}")
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(
                f"the RoPE factor must be finite and at least 1, got {self.factor}; it says how "
                "many times the trained length shall be read"
            )
        if self.trained is not None and self.trained < 1:
            raise ValueError(f"the trained length must be at least 1 token, got {self.trained}")


def trained_length(rope: Rope, reader: str) -> int:
    """The trained length; raises ValueError, which names the scheme that reads it, without one."""
    if rope.trained is None:
        raise ValueError(
            f"{reader} positions must know the trained length; set rope_trained to the number of "
            f"tokens in a training sequence, got {rope.trained}"
        )
    return rope.trained


def ladder(
    d: int, base: float | Float[Tensor, ""], device: torch.device
) -> Float[Tensor, " pairs"]:
    """θ_i = base^(-2i/d), radians per token; raises ValueError for an odd d, which has no pairs."""
    if d % 2:
        raise ValueError(f"rotary positions need an even head width, got d_head={d}")
    return base ** (-torch.arange(0, d, 2, dtype=torch.float64, device=device) / d)


def frequencies(d: int, rope: Rope, positions: Num[Tensor, " T"]) -> Float[Tensor, " pairs"]:
    """The unchanged ladder."""
    return ladder(d, rope.base, positions.device)


def rotate(
    x: Float[Tensor, "B N T D"],
    positions: Num[Tensor, " T"],
    base: float,
    interleaved: bool = False,
) -> Float[Tensor, "B N T D"]:
    """Plain rotary positions: turn pair i by position · base^(-2i/D) radians.

    Pairs are (i, i + D/2) as in Llama, or (2i, 2i + 1) as in GPT-J when `interleaved`.
    Raises ValueError for an odd D, which has no pairs.
    """
    return turn(x, positions, ladder(x.shape[-1], base, x.device), 1.0, interleaved)


def turn(
    x: Float[Tensor, "B N T D"],
    positions: Num[Tensor, " T"],
    frequency: Float[Tensor, " pairs"],
    scale: float,
    interleaved: bool,
) -> Float[Tensor, "B N T D"]:
    """Turn pair i by position · frequency_i radians and multiply it by `scale`."""
    # Angles in float64: at position 8000 a float32 product is already off by 5e-4 radians.
    angle = positions.double()[:, None] * frequency
    cos, sin = (angle.cos() * scale).to(x.dtype), (angle.sin() * scale).to(x.dtype)
    d = x.shape[-1]
    pairs = x.unflatten(-1, (d // 2, 2)).mT if interleaved else x.unflatten(-1, (2, d // 2))
    a, b = pairs[..., 0, :], pairs[..., 1, :]
    turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -2)
    return (turned.mT if interleaved else turned).flatten(-2)
