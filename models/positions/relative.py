"""How far away every key seems to every query: what length extrapolation changes, as a matrix.

rel(i, j) is the distance in tokens that the rotation between query i and key j is made for; NaN
where the query does not see the key. Methods that change the frequencies instead leave i - j as it
is, so `angles` gives what the two kinds have in common: the angle of one pair of dims.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.positions import SCHEMES, Rope, scheme


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the methods are told, each its part. Raises ValueError for impossible numbers."""

    length: int = 64  # T, tokens read
    trained: int = 32  # L, tokens of a training sequence
    factor: float = 4.0  # s, how many times closer far keys come (k of Leaky ReRoPE); at least 1
    window: int = 16  # nearest keys, the query's own among them, whose distance stays true
    group: int = 4  # neighbours that share a position
    sinks: int = 4  # first keys, always seen

    def __post_init__(self) -> None:
        for name in ("length", "trained", "window", "group"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.sinks < 0:
            raise ValueError(f"sinks must be 0 or more, got {self.sinks}")
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(f"factor must be finite and at least 1, got {self.factor}")


Relative = Callable[[Setting], Float[Tensor, "T T"]]


def places(s: Setting) -> tuple[Float[Tensor, "T 1"], Float[Tensor, "1 T"]]:
    """i of every row and j of every column."""
    at = torch.arange(s.length, dtype=torch.float64)
    return at[:, None], at[None]


def seen(rel: Float[Tensor, "T T"]) -> Float[Tensor, "T T"]:
    """The same with NaN for keys after the query."""
    return rel.masked_fill(torch.ones_like(rel).triu(1).bool(), torch.nan)


def plain(s: Setting) -> Float[Tensor, "T T"]:
    """i - j."""
    i, j = places(s)
    return seen(i - j)


def interpolated(s: Setting) -> Float[Tensor, "T T"]:
    """(i - j) / s."""
    return plain(s) / s.factor


def rectified(s: Setting) -> Float[Tensor, "T T"]:
    """min(i - j, w)."""
    return plain(s).clamp(max=s.window)


def leaky(s: Setting) -> Float[Tensor, "T T"]:
    """i - j below w, w + (i - j - w) / s from there on."""
    lag = plain(s)
    return torch.where(lag < s.window, lag, s.window + (lag - s.window) / s.factor)


def grouped(s: Setting) -> Float[Tensor, "T T"]:
    """i - j below w, ⌊i/G⌋ + w - ⌊w/G⌋ - ⌊j/G⌋ from there on."""
    (i, j), lag = places(s), plain(s)
    far = i // s.group + s.window - s.window // s.group - j // s.group
    return seen(torch.where(lag < s.window, lag, far))


def windowed(s: Setting) -> Float[Tensor, "T T"]:
    """i - j below w, nothing further away."""
    lag = plain(s)
    return lag.masked_fill(lag >= s.window, torch.nan)


def lambda_shaped(s: Setting) -> Float[Tensor, "T T"]:
    """min(i - j, L) for the first keys and those below w."""
    return first_and_recent(s, plain(s).clamp(max=s.trained))


def streaming(s: Setting) -> Float[Tensor, "T T"]:
    """The distance inside a cache of the first keys and the w most recent, the query's included.

    i - j for recent keys, min(i, sinks + w - 1) - j for the first.
    """
    i, j = places(s)
    lag = plain(s)
    in_cache = i.clamp(max=s.sinks + s.window - 1) - j
    return first_and_recent(s, torch.where(lag < s.window, lag, in_cache))


def first_and_recent(s: Setting, rel: Float[Tensor, "T T"]) -> Float[Tensor, "T T"]:
    """The same with NaN except at the first keys and the w most recent."""
    i, j = places(s)
    return seen(rel).masked_fill((j >= s.sinks) & (i - j >= s.window), torch.nan)


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to read more tokens than were trained on."""

    title: str
    paper: str  # authors, year, arXiv number or address
    line: str  # what it does, in one line
    rel: Relative
    scheme: str = "rotary"  # the name in SCHEMES whose frequencies it takes
    reads: tuple[str, ...] = ()  # fields of Setting that change it, besides the length


def retuned(name: str, line: str) -> Method:
    """The method of a rotary scheme, which leaves i - j as it is and turns by other frequencies."""
    found = scheme(name)
    return Method(
        title=found.title, paper=found.paper, line=line, rel=plain, scheme=name, reads=found.reads
    )


METHODS: dict[str, Method] = {
    "rope": retuned("rotary", "i - j; beyond the trained length, angles never seen"),
    "pi": Method(
        title=SCHEMES["pi"].title,
        paper=SCHEMES["pi"].paper,
        line="(i - j) / s: no new angles, but neighbours come closer too",
        rel=interpolated,
        reads=("factor",),
    ),
    "ntk": retuned(
        "ntk",
        "i - j with base · s^(d/(d-2)): slow pairs turn s times slower, the fastest as before",
    ),
    "dynamic-ntk": retuned(
        "dynamic-ntk", "NTK with s taken from the length read: s · T/L - (s - 1), at least 1"
    ),
    "yarn": retuned(
        "yarn",
        "i - j; pairs slower than one turn in L turn s times slower; logits × (0.1 ln s + 1)²",
    ),
    "rerope": Method(
        title="ReRoPE",
        paper="Su 2023, kexue.fm/archives/9708",
        line="min(i - j, w): true nearby, all the same from w on",
        rel=rectified,
        reads=("window",),
    ),
    "leaky-rerope": Method(
        title="Leaky ReRoPE",
        paper="Su 2023, kexue.fm/archives/9708",
        line="true below w, s times slower from there on",
        rel=leaky,
        reads=("window", "factor"),
    ),
    "self-extend": Method(
        title="Self-Extend",
        paper="Jin et al. 2024, arXiv 2401.01325",
        line="true below w, whole groups of G tokens share a place from there on",
        rel=grouped,
        reads=("window", "group"),
    ),
    "window": Method(
        title="Sliding window",
        paper="Beltagy et al. 2020, arXiv 2004.05150",
        line="only the w most recent keys are seen",
        rel=windowed,
        reads=("window",),
    ),
    "lambda-mask": Method(
        title="Λ-mask (LM-Infinite)",
        paper="Han et al. 2023, arXiv 2308.16137",
        line="the first keys and the w most recent, at distance min(i - j, L)",
        rel=lambda_shaped,
        reads=("window", "sinks", "trained"),
    ),
    "streaming": Method(
        title="StreamingLLM",
        paper="Xiao et al. 2023, arXiv 2309.17453",
        line="the first keys and the w most recent, at their distance inside the cache",
        rel=streaming,
        reads=("window", "sinks"),
    ),
}


def method(name: str) -> Method:
    """The method of that name; raises ValueError with the names there are."""
    if name not in METHODS:
        raise ValueError(f"no extrapolation method {name!r}; choose one of {', '.join(METHODS)}")
    return METHODS[name]


def angles(
    name: str, setting: Setting, pair: int, d: int = 128, base: float = 10000.0
) -> Float[Tensor, "T T"]:
    """Radians that a pair, 0 (the fastest) to d/2 - 1, turns between query and key; NaN unseen."""
    if not 0 <= pair < d // 2:
        raise ValueError(f"heads of width {d} have pairs 0 to {d // 2 - 1}, got pair {pair}")
    found = method(name)
    rope = Rope(base=base, factor=setting.factor, trained=setting.trained)
    frequency = scheme(found.scheme).frequencies(d, rope, torch.arange(setting.length))
    return found.rel(setting) * frequency[pair]
