"""How long a context a RoPE base can serve (Men et al. 2024, "Base of RoPE Bounds Context Length").

A query should on average prefer a key like itself to any other key. For vectors with independent
entries the preference at distance m is in proportion to f_b(m) = Σ_{i < d/2} cos(m · b^(-2i/d)), so
a context of L tokens needs f_b(m) ≥ 0 for every m < L. Source: arXiv 2405.14591; the search over a
grid that gets ten times finer each round is from kexue.fm/archives/10122.

The sum tends to the integral (d / 2 ln b) · (Ci(m) - Ci(m / b)), and Ci is negative up to its first
zero, so wide heads and long contexts need about b ≥ L / 0.6165. Position interpolation divides m by
its factor s, so a base serves s times as many tokens.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

CI_ZERO = 0.6165054856207162  # first zero of the cosine integral Ci
CHUNK = 2**19  # cosines held at once: 4 MiB


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Lowest bases published for one context length, heads of width 128, two digits."""

    length: int  # tokens
    paper: float  # arXiv 2405.14591
    blog: float  # kexue.fm/archives/10122, a finer search


TABLE: tuple[Bound, ...] = (
    Bound(length=1 << 10, paper=4.3e3, blog=4.3e3),
    Bound(length=1 << 11, paper=1.6e4, blog=1.2e4),
    Bound(length=1 << 12, paper=2.7e4, blog=2.7e4),
    Bound(length=1 << 13, paper=8.4e4, blog=8.4e4),
    Bound(length=1 << 14, paper=3.1e5, blog=2.3e5),
    Bound(length=1 << 15, paper=6.4e5, blog=6.3e5),
    Bound(length=1 << 16, paper=2.1e6, blog=2.1e6),
    Bound(length=1 << 17, paper=7.8e6, blog=4.9e6),
    Bound(length=1 << 18, paper=3.6e7, blog=2.4e7),
    Bound(length=1 << 19, paper=6.4e7, blog=5.8e7),
    Bound(length=1 << 20, paper=5.1e8, blog=6.5e7),
)


def curve(
    base: float, distances: Num[Tensor, " T"], d: int = 128, rotated: int | None = None
) -> Float[Tensor, " T"]:
    """f_b(m) at each distance m, in float64; the largest value is d/2, at m = 0.

    `rotated` dims of d turn (all, unless given); the others are the same at every position and add
    a half each. With half of them rotated f is a sum of 1 + cos, never negative for any base.
    """
    rotated = d if rotated is None else rotated
    check(base, d, rotated)
    powers = torch.arange(0, rotated, 2, dtype=torch.float64) / max(rotated, 1)
    still = (d - rotated) / 2
    rows = max(1, CHUNK // max(1, len(powers)))
    parts = [
        (m.double()[:, None] * base**-powers).cos().sum(-1) + still for m in distances.split(rows)
    ]
    return torch.cat(parts)


def minimum(base: float, length: int, d: int = 128, rotated: int | None = None) -> float:
    """The least f_b(m) over a context of `length` tokens, m = 0 ... length - 1."""
    check_length(length)
    return curve(base, torch.arange(length), d, rotated).min().item()


def asymptotic_base(length: int) -> float:
    """length / 0.6165: what the lowest base tends to for wide heads and long contexts."""
    check_length(length)
    return length / CI_ZERO


def lowest_base(length: int, d: int = 128, rounds: int = 4) -> float:
    """The lowest base above 1 with f_b(m) ≥ 0 for every m < length, to about `rounds` digits.

    Round k tries 10^k evenly spaced bases up to the last one found (1000 · length at first) and
    keeps the lowest that serves. f is not monotone in b, so halving intervals would miss it, and
    a higher base may fail again. Raises ValueError where no base up to 1000 · length serves.
    """
    check_length(length)
    check(2.0, d, d)
    found = 1000.0 * length
    failures: list[int] = []
    for k in range(1, rounds + 1):
        grid = torch.linspace(0, 1, 10**k + 1, dtype=torch.float64)[1:] * found
        serving, failures = first_serving(grid[grid > 1], length, d, failures)
        if serving is None:
            raise ValueError(
                f"no base up to {found:.0f} keeps f_b(m) from going negative before m={length} at "
                f"head width {d}; ask for a shorter length or a wider head"
            )
        found = serving
    return found


def first_serving(
    bases: Float[Tensor, " N"], length: int, d: int, failures: list[int]
) -> tuple[float | None, list[int]]:
    """The lowest of the bases that serves all of the length, and the distances that failed others.

    Bases close to each other fail at the same distance. So only the lowest base that survives all
    known failures is checked at every distance; where it is worst then rejects many of the rest.
    """
    for m in failures:
        bases = bases[holds(bases, m, d)]
    while len(bases):
        values = curve(bases[0].item(), torch.arange(length), d)
        if values.min() >= 0:
            return bases[0].item(), failures
        worst = int(values.argmin())
        failures = [*failures, worst]
        bases = bases[1:][holds(bases[1:], worst, d)]
    return None, failures


def holds(bases: Float[Tensor, " N"], m: int, d: int) -> Bool[Tensor, " N"]:
    """Which bases have f_b(m) ≥ 0."""
    powers = -torch.arange(0, d, 2, dtype=torch.float64) / d
    rows = max(1, CHUNK // len(powers))
    parts = [(m * b[:, None] ** powers).cos().sum(-1) >= 0 for b in bases.split(rows)]
    return torch.cat(parts)


def check(base: float, d: int, rotated: int) -> None:
    """Raise ValueError, in a sentence, for a base or widths that have no RoPE."""
    if not (math.isfinite(base) and base > 1):
        raise ValueError(f"the RoPE base must be above 1 and finite, got {base}")
    if d < 2 or d % 2 or rotated % 2 or not 0 <= rotated <= d:
        raise ValueError(
            f"RoPE turns pairs of dims: width and rotated dims must be even and the width at least "
            f"2 and not less than the rotated; got width {d}, rotated {rotated}"
        )


def check_length(length: int) -> None:
    """Raise ValueError for a context without tokens."""
    if length < 1:
        raise ValueError(f"a context has at least one token, got length={length}")
