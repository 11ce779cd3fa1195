"""How a token's place enters the model: a learned table, rotation of q and k, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor

from models.positions import interpolation, ntk, rotary, yarn
from models.positions.rotary import Rope, rotate

__all__ = ["SCHEMES", "Rope", "Scheme", "rotate", "scheme"]


def unscaled(rope: Rope) -> float:
    """Rotation alone keeps lengths."""
    return 1.0


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """One way to tell places apart, and where it comes from."""

    title: str
    paper: str  # authors, year, arXiv number or address
    table: bool = False  # a learned table is added to the embedding
    # Radians per token of every pair of a head, [D/2] in float64, for width, numbers and positions;
    # None: q and k are not turned.
    frequencies: Callable[[int, Rope, Tensor], Tensor] | None = None
    scale: Callable[[Rope], float] = unscaled  # what q and k are multiplied by, each
    interleaved: bool = False  # pairs (2i, 2i + 1) instead of (i, i + D/2)
    reads: tuple[str, ...] = ()  # fields of Rope that change it, besides the base

    @property
    def rotary(self) -> bool:
        """True if q and k are turned."""
        return self.frequencies is not None

    def turn(
        self,
        x: Float[Tensor, "B N T D"],
        positions: Num[Tensor, " T"],
        rope: Rope,
        whole: Num[Tensor, " S"] | None = None,
    ) -> Float[Tensor, "B N T D"]:
        """Give q or k their positions, counted in tokens; fractions are allowed.

        `whole` are the places of the tokens being read, for schemes that depend on how many there
        are; a variant may ask for other positions, and must still turn by the same angles.
        """
        if self.frequencies is None:
            return x
        frequency = self.frequencies(x.shape[-1], rope, positions if whole is None else whole)
        return rotary.turn(x, positions, frequency, self.scale(rope), self.interleaved)

    def check(self, d: int, rope: Rope) -> None:
        """Raise ValueError, in a sentence, for a head width or numbers that this cannot use."""
        if rope.factor != 1 and "factor" not in self.reads:
            readers = ", ".join(name for name, other in SCHEMES.items() if "factor" in other.reads)
            raise ValueError(
                f"rope_factor={rope.factor} changes nothing under '{self.title}' positions; choose "
                f"one of {readers}, or leave the factor at 1"
            )
        if self.frequencies is not None:
            self.frequencies(d, rope, torch.arange(1))


SU = "Su et al. 2021, arXiv 2104.09864"

SCHEMES: dict[str, Scheme] = {
    "rotary": Scheme(title="RoPE", paper=SU, frequencies=rotary.frequencies),
    "rotary-interleaved": Scheme(
        title="RoPE, interleaved pairs",
        paper=SU,
        frequencies=rotary.frequencies,
        interleaved=True,
    ),
    "learned": Scheme(
        title="Learned table", paper="Gehring et al. 2017, arXiv 1705.03122", table=True
    ),
    "none": Scheme(title="No positions", paper="Kazemnejad et al. 2023, arXiv 2305.19466"),
    "pi": Scheme(
        title="Position interpolation",
        paper="Chen et al. 2023, arXiv 2306.15595",
        frequencies=interpolation.frequencies,
        reads=("factor",),
    ),
    "ntk": Scheme(
        title="NTK-aware RoPE",
        paper="bloc97 2023, r/LocalLLaMA; kexue.fm/archives/9675",
        frequencies=ntk.frequencies,
        reads=("factor",),
    ),
    "dynamic-ntk": Scheme(
        title="Dynamic NTK",
        paper="emozilla 2023, r/LocalLLaMA",
        frequencies=ntk.dynamic,
        reads=("factor", "trained"),
    ),
    "yarn": Scheme(
        title="YaRN",
        paper="Peng et al. 2023, arXiv 2309.00071",
        frequencies=yarn.frequencies,
        scale=yarn.scale,
        reads=("factor", "trained"),
    ),
}


def scheme(name: str) -> Scheme:
    """The scheme of that name; raises ValueError with the names there are."""
    if name not in SCHEMES:
        raise ValueError(f"no position scheme {name!r}; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name]
