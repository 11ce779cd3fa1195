"""RoPE under the lamp: how far a base reaches, and what extrapolation does to distances."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float

from interp.engine.job import Work
from interp.exhibits import Curve, Heat, Series
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
WIDEST = 128  # tokens of a map of distances


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
    """How far a base reaches, and the Result: f_b(m), thinned out, and what all of it says."""

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
        reach=reach,
        result=result(
            "rope-curve",
            asdict(request),
            tuple(figures),
            curves=(drawn_curve(drawn.astype(float), values[drawn]),),
        ),
    )


def drawn_curve(distances: Float[np.ndarray, " N"], values: Float[np.ndarray, " N"]) -> Curve:
    """f_b(m) against the distance, beside zero."""
    none = np.full(len(distances), np.nan)
    given = {"x": distances, "low": none, "high": none, "n": np.ones(len(distances), np.int64),
             "provenance": "derived"}  # fmt: skip
    return Curve(
        key="curve",
        title="How much more a query prefers a key like itself",
        x_title="distance m (tokens)",
        unit="f(m), sum of cosines",
        definition="f(m) = Σ cos(m·base^(-2i/d)) over the pairs that turn, plus 1/2 for each dim "
        "that does not: how much more, on average, a query prefers a key like itself over any "
        "other at distance m. Below zero it prefers the other: such a context is longer than the "
        "base can serve.",
        source="Men et al. 2024, arXiv 2405.14591",
        n_of="evaluation of a formula",
        series=(
            Series(name="f(m)", role="measured", value=values, **given),
            Series(name="zero", role="theory", value=np.zeros(len(distances)), **given),
        ),
        log_x=True,
        note="A formula has no sample to draw, and so no null. Every distance up to "
        f"{LONGEST:,} is searched, {len(distances)} are drawn.",
    )


def result(probe: str, request: dict, figures: tuple[Figure, ...] = (), **more: tuple) -> Result:
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
        **more,
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
    if not 1 <= length <= SLOW:
        raise Refused(f"The search is offered for contexts up to {SLOW:,} tokens; got {length:,}.")
    return Work(
        f"rope bound {length} {__version__}",
        f"Searching the base for {length:,} tokens",
        lambda engine, progress: read_bound(length, progress),
        2**26,
        urgent=length <= QUICK,
    )


@dataclass(frozen=True, kw_only=True)
class DistancesRequest:
    """What extrapolation methods are told, and which pair of dims; raises Refused if too large."""

    rope: CurveRequest
    setting: Setting
    pair: int  # of dims that turn; 0 is the fastest

    def __post_init__(self) -> None:
        most = max(v for k, v in asdict(self.setting).items() if k != "factor")
        if self.setting.length > WIDEST or most > LONGEST or self.setting.factor > LONGEST:
            raise Refused(
                f"Distances are drawn for up to {WIDEST} tokens and settings up to {LONGEST:,}; "
                f"got {asdict(self.setting)}."
            )
        if not 0 <= self.pair < self.rope.rotated // 2:
            raise Refused(
                f"There are pairs 0 to {self.rope.rotated // 2 - 1} that turn; got {self.pair}."
            )


def distances(request: DistancesRequest) -> Result:
    """How far every key seems to one pair of dims, a Heat for each method; NaN where not seen.

    That is the angle between query and key under each method, divided by the angle that plain RoPE
    turns this pair per token: tokens of plain RoPE.
    """
    rope, setting, pair = request.rope, request.setting, request.pair
    step = rope.base ** (-2 * pair / rope.rotated)
    found = {
        name: (angles(name, setting, pair, rope.rotated, rope.base) / step).numpy()
        for name in METHODS
    }
    heats = tuple(distance_map(name, value) for name, value in found.items())
    return result("rope-distances", asdict(request), heats=heats)


def distance_map(name: str, value: Float[np.ndarray, "T T"]) -> Heat:
    """One method's distances."""
    method, none = METHODS[name], np.full_like(value, np.nan)
    places = tuple(map(str, range(len(value))))
    return Heat(
        key=name,
        title=method.title,
        row_title="query (token)",
        column_title="key (token)",
        rows=places,
        columns=places,
        unit="tokens of plain RoPE",
        provenance="derived",
        definition=f"{method.line}. The angle between query and key in one pair of dims, divided "
        f"by what plain RoPE turns it per token. Reads: {', '.join(method.reads) or 'nothing'}.",
        source=method.paper,
        value=value,
        low=none,
        high=none,
        n=1,
        n_of="evaluation of a formula",
        nulls={},
        note="A formula has no sample to draw, and so no null. Empty: keys not seen.",
    )
