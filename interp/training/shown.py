"""Training as a Result: curves of every number over training tokens, and what they say."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from interp.exhibits import Curve, Role, Series
from interp.probes.rows import TWIN
from interp.result import Figure, Result
from interp.summary import SummaryRequest
from interp.summary_numbers import HEADS, OLSSON, WHOLES
from interp.training.phase import CRITERION, GUESS, Way, phase, sentence

# Curves that come first.
FIRST = ("loss_second", "induction", "previous", "in_context", "sink", "S", "loss")
SOURCES = {one.key: one.source for one in HEADS}


def trained(ways: Mapping[str, Way], request: SummaryRequest) -> Result:
    """Models along their training, each by its measured snapshots in the order of their steps."""
    ways = {name: way for name, way in ways.items() if way}
    firsts = {name: way[0] for name, way in ways.items()}
    said = [sentence(way[0][0].title, phase(way, request.seed)) for way in ways.values()]
    digests = ",".join(one.digest for way in ways.values() for one, _ in way)
    return Result(
        probe="training",
        model=", ".join(ways),
        digest=hashlib.sha256(digests.encode()).hexdigest()[:16],
        device=next(iter(firsts.values()))[1].summary.device,
        request={
            **asdict(request),
            "snapshots": {name: [one.step for one, _ in way] for name, way in ways.items()},
        },
        scores=(),
        answer=" ".join(said),
        curves=tuple(curve(key, ways) for key in keys(ways)),
        notes=(
            CRITERION,
            "Every snapshot reads the same passages and the same random tokens, so that points "
            "of one line are paired. The twin is one draw of weights, the same at every snapshot.",
            "The strongest head is picked anew at every snapshot by the score that it then shows.",
        ),
    )


def keys(ways: Mapping[str, Way]) -> list[str]:
    """Numbers that every snapshot has, those of the phase change first."""
    moments = [moment for way in ways.values() for _, moment in way]
    there = [key_of for key_of in (f.key for f in moments[0].summary.figures)
             if all(key_of in {f.key for f in m.summary.figures} for m in moments)]  # fmt: skip
    silent = {key for key in there if all(figure(m, key).value == 0 for m in moments)}
    order = [*FIRST, *(key for key in there if key not in FIRST)]
    return [key for key in order if key in there and key not in silent]


def figure(moment: object, key: str) -> Figure:
    """One number of a snapshot."""
    return moment.summary.exhibit(key)


def curve(key: str, ways: Mapping[str, Way]) -> Curve:
    """One number of every model over the tokens it was trained on, and of its twin."""
    series: list[Series] = []
    for way in ways.values():
        series.append(line(way, key, "measured"))
    series += [line(way, key, "null") for way in ways.values()]
    if key == "loss_second":
        series.append(level(ways))
    first = figure(next(iter(ways.values()))[0][1], key)
    strongest = key in {one.key for one in HEADS if one.strongest}
    title = {one.key: one.title for one in (*HEADS, *WHOLES)}[key]
    over = ", strongest head" if strongest else ", mean over heads" if key in SOURCES else ""
    return Curve(
        key=key,
        title=title + over,
        x_title="training tokens",
        unit=first.unit,
        definition=first.definition,
        source=SOURCES.get(key, OLSSON),
        n_of=first.n_of,
        series=tuple(series),
    )


def line(way: Way, key: str, role: Role) -> Series:
    """One number along one model's training."""
    found = [figure(moment, key) for _, moment in way]
    ends = ("value", "low", "high") if role == "measured" else ("null", "null_low", "null_high")
    value, low, high = (np.array([getattr(f, end) for f in found], dtype=np.float64)
                        for end in ends)  # fmt: skip
    kind = found[0].provenance
    title = way[0][0].title + ("" if kind == "measured" else f" ({kind})")
    return Series(
        name=title if role == "measured" else f"{title}: {TWIN}",
        role=role,
        x=np.array([one.tokens for one, _ in way], dtype=np.float64),
        value=value,
        low=low,
        high=high,
        n=np.array([f.n for f in found]),
        provenance=kind,
    )


def level(ways: Mapping[str, Way]) -> Series:
    """What guessing among the tokens of the first copy costs."""
    ends = [one.tokens for way in ways.values() for one, _ in (way[0], way[-1])]
    x = np.array([min(ends), max(ends)], dtype=np.float64)
    none = np.full(2, np.nan)
    return Series(
        name="guessing among tokens of the first copy", role="theory", x=x,
        value=np.full(2, GUESS), low=none, high=none, n=np.ones(2, dtype=np.int64),
        provenance="derived",
    )  # fmt: skip
