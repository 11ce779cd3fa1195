"""How a token's place enters the model: a learned table, rotation of q and k, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor


def rotate(
    x: Float[Tensor, "B N T D"],
    positions: Num[Tensor, " T"],
    base: float,
    interleaved: bool = False,
) -> Float[Tensor, "B N T D"]:
    """Rotary position embedding (Su et al. 2021): turn pair i by position · base^(-2i/D) radians.

    Pairs are (i, i + D/2) as in Llama, or (2i, 2i + 1) as in GPT-J when `interleaved`.
    Raises ValueError for an odd D, which has no pairs.
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"rotary positions need an even head width, got d_head={d}")
    # Angles in float64: at position 8000 a float32 product is already off by 5e-4 radians.
    frequency = base ** (-torch.arange(0, d, 2, dtype=torch.float64, device=x.device) / d)
    angle = positions.double()[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    pairs = x.unflatten(-1, (d // 2, 2)).mT if interleaved else x.unflatten(-1, (2, d // 2))
    a, b = pairs[..., 0, :], pairs[..., 1, :]
    turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -2)
    return (turned.mT if interleaved else turned).flatten(-2)


def keep(
    x: Float[Tensor, "B N T D"], positions: Num[Tensor, " T"], base: float
) -> Float[Tensor, "B N T D"]:
    """No rotation."""
    return x


@dataclass(frozen=True)
class Scheme:
    """A position scheme: whether a table is added to the embedding, and what turns q and k."""

    table: bool
    turn: Callable[[Tensor, Tensor, float], Tensor]


SCHEMES: dict[str, Scheme] = {
    "rotary": Scheme(table=False, turn=rotate),
    "learned": Scheme(table=True, turn=keep),
    "none": Scheme(table=False, turn=keep),
}


def scheme(name: str) -> Scheme:
    """The scheme of that name; raises ValueError with the names there are."""
    if name not in SCHEMES:
        raise ValueError(f"no position scheme {name!r}; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name]
