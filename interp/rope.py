"""RoPE under the lamp: how far a base reaches, and what extrapolation does to distances."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float

from interp.engine.job import Work
from interp.progress import Progress
from interp.result import Figure, Result
from interp.subject import Refused
from models import __version__
from models.positions.relative import METHODS, Setting, angles
from models.rope_bound import TABLE, asymptotic_base, curve, lowest_base

LONGEST = 2**17  # tokens that a curve is searched over
QUICK = 2**13  # contexts whose lowest base takes about a second or less
SLOW = 2**15  # the longest context whose lowest base is searched for: about half a minute
DRAWN = 600  # points of a drawn curve


@dataclass(frozen=True, kw_only=True)
class CurveRequest:
    """A base and a head width; raises Refused for what has no RoPE."""

    base: float = 10000.0
    d_head: int = 128
    rotated: int = 128  # dims that turn; the others are the same everywhere

    def __post_init__(self) -> None:
        if not (np.isfinite(self.base) and 1 < self.base <= 1e12):
            raise Refused(f"A RoPE base is a number above 1 and at most 1e12; got {self.base}.")
        if self.d_head % 2 or not 4 <= self.d_head <= 1024:
            raise Refused(f"RoPE turns pairs of dims: an even width to 1024; got {self.d_head}.")
        if self.rotated % 2 or not 4 <= self.rotated <= self.d_head:
            raise Refused(
                f"Of {self.d_head} dims an even number, at least 4, can turn; got {self.rotated}."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class CurveReport:
    """f_b(m), thinned out for drawing, and the Result with what the whole of it says."""

    distances: Float[np.ndarray, " N"]  # tokens
    values: Float[np.ndarray, " N"]
    reach: int | None  # the first distance with f_b(m) < 0; None: none up to LONGEST
    result: Result


def exact(key: str, title: str, unit: str, words: str, value: float, n: int) -> Figure:
    """A number computed from a formula: no sample, so no interval."""
    return Figure(
        key=key, title=title, unit=unit, provenance="derived", definition=words, value=value,
        low=value, high=value, n=n, n_of="distances, all of them", null=None,
    )  # fmt: skip


def read_curve(request: CurveRequest, progress: Progress) -> CurveReport:
    """The whole curve up to LONGEST tokens, and where it first goes below zero."""
    progress.step(0, 1, f"f(m) for base {request.base:g}")
    values = curve(request.base, torch.arange(LONGEST), request.d_head, request.rotated).numpy()
    below = np.flatnonzero(values < 0)
    reach = int(below[0]) if len(below) else None
    drawn = np.unique(np.geomspace(1, LONGEST - 1, DRAWN).astype(int))
    minima = [
        exact(
            f"minimum_{row.length}", f"Least f(m) below {row.length:,} tokens", "sum of cosines",
            "min over m < L of Σ cos(m b^(-2i/d)) over the pairs that turn, plus 1/2 for each dim "
            "that does not.", float(values[: row.length].min()), row.length,
        )
        for row in TABLE if row.length <= LONGEST
    ]  # fmt: skip
    figures = [*minima]
    if reach is not None:
        figures.insert(
            0,
            exact(
                "reach", "Tokens served", "tokens",
                "The first distance m with f(m) < 0: a context of so many tokens is the longest in "
                "which a key like the query is preferred on average.", float(reach), LONGEST,
            ),
        )  # fmt: skip
    return CurveReport(
        distances=drawn.astype(float),
        values=values[drawn],
        reach=reach,
        result=result("rope-curve", asdict(request), tuple(figures)),
    )


def result(probe: str, request: dict, figures: tuple[Figure, ...]) -> Result:
    """A Result that needs no model: its digest names the request and the code."""
    text = json.dumps([probe, request, __version__])
    return Result(
        probe=probe,
        model="none: a formula",
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        device="CPU",
        request=request,
        scores=(),
        figures=figures,
        notes=("Men et al. 2024, arXiv 2405.14591; kexue.fm/archives/10122.",),
    )


def read_bound(length: int, progress: Progress) -> Result:
    """The lowest base that serves a context, searched for here."""
    progress.step(0, 1, f"searching for the lowest base that serves {length:,} tokens")
    words = (
        "The lowest b with f_b(m) ≥ 0 for every m < L at head width 128, on a grid that gets ten "
        "times finer in each of four rounds."
    )
    figure = Figure(
        key="lowest_base", title=f"Lowest base for {length:,} tokens", unit="base",
        provenance="derived", definition=words, value=lowest_base(length), low=np.nan, high=np.nan,
        n=length, n_of="distances", null=asymptotic_base(length), null_name="L / 0.6165",
    )  # fmt: skip
    return result("rope-bound", {"length": length, "d_head": 128}, (figure,))


def curve_work(request: CurveRequest) -> Work:
    """The curve, for the engine."""
    return Work(
        f"rope curve {json.dumps(asdict(request))}",
        "Following the curve",
        lambda engine, progress: read_curve(request, progress),
        2 * 8 * LONGEST,
        urgent=True,
    )


def bound_work(length: int) -> Work:
    """The search for one context, for the engine; raises Refused past SLOW tokens."""
    if length > SLOW:
        raise Refused(f"The search is offered for contexts up to {SLOW:,} tokens; got {length:,}.")
    return Work(
        f"rope bound {length} {__version__}",
        f"Searching the base for {length:,} tokens",
        lambda engine, progress: read_bound(length, progress),
        2**26,
        urgent=length <= QUICK,
    )


def relative(
    setting: Setting, request: CurveRequest, pair: int
) -> dict[str, Float[np.ndarray, "T T"]]:
    """How far every key seems to one pair of dims, in tokens of plain RoPE; NaN where not seen.

    That is the angle between query and key under each method, divided by the angle that plain RoPE
    turns this pair per token; pair 0 is the fastest.
    """
    step = request.base ** (-2 * pair / request.rotated)
    return {
        name: (angles(name, setting, pair, request.rotated, request.base) / step).numpy()
        for name in METHODS
    }
