"""Attention concentration: on how many keys a head's rows rest, with and without the sink."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from interp.measurements.prompt import PromptControls, PromptReading
from interp.measurements.rows import Rows
from interp.probes.rows import SHUFFLED, TWIN, RowMetric, control, each, score
from interp.result import Provenance, Result, Score
from interp.subject import Card, Refused

FIRST_ROW = 8  # rows before it see too few keys to say how they spread
LEAST_REST = 1e-3  # mass left without token 0 below which a row says nothing about the rest

SU = "Su Jianlin 2023, kexue.fm/archives/9889"
SHANNON = "Shannon 1948, entropy in nats"

EXPECT = {
    TWIN: "close to uniform: nothing was learned",
    SHUFFLED: "a check, not a null: what stays does not depend on word order",
}


@dataclass(frozen=True)
class View:
    """The sums a metric needs, over all visible keys or over all but token 0."""

    mass: RowMetric
    square: RowMetric
    log: RowMetric
    peak: RowMetric
    visible: Float[np.ndarray, " T"]


@dataclass(frozen=True)
class Metric:
    """One way to say how concentrated a row is."""

    key: str
    title: str
    unit: str
    definition: str
    source: str
    compute: Callable[[View], RowMetric]
    uniform: Callable[[Float[np.ndarray, " N"]], Float[np.ndarray, " N"]]
    high_end: float | None
    stronger: Literal["higher", "lower"] = "lower"  # a small spread is a strong concentration
    derived: bool = False
    needs_shares: bool = True  # False: defined on signed rows as they are


def entropy(v: View) -> RowMetric:
    """-Σ p ln p with p = w / Σw, from Σw and Σ w ln w."""
    return np.maximum(np.log(v.mass) - v.log / v.mass, 0.0)


METRICS = (
    Metric(
        "S",
        "Concentration S",
        "ratio, 1/√n to 1",
        "S = E|a| / √E[a²] over the keys a row can see; smaller is more concentrated.",
        SU,
        lambda v: v.mass / np.sqrt(v.visible * v.square),
        lambda n: np.ones_like(n),
        1.0,
        needs_shares=False,
    ),
    Metric(
        "n_eff",
        "Effective keys n·S²",
        "keys",
        "n_eff = n·S² = (Σ|a|)² / Σa², the participation ratio: on how many keys a row rests.",
        SU,
        lambda v: v.mass**2 / v.square,
        lambda n: n,
        None,
        derived=True,
        needs_shares=False,
    ),
    Metric(
        "entropy",
        "Entropy",
        "nats",
        "H = -Σ p ln p of a row; exp(H) keys would give the same if shared evenly.",
        SHANNON,
        entropy,
        lambda n: np.log(n),
        None,
    ),
    Metric(
        "entropy_share",
        "Normalised entropy",
        "H / ln n, 0 to 1",
        "A row's entropy over ln n, the entropy of a row that reads all n visible keys evenly.",
        SHANNON,
        lambda v: entropy(v) / np.log(v.visible),
        lambda n: np.ones_like(n),
        1.0,
        derived=True,
    ),
    Metric(
        "max",
        "Largest weight",
        "share of attention",
        "The largest weight of a row.",
        "definition",
        lambda v: v.peak / v.mass,
        lambda n: 1 / n,
        1.0,
        stronger="higher",
    ),
)


def all_keys(rows: Rows) -> View:
    """Every visible key."""
    sums = (rows.mass, rows.square, rows.log, rows.peak)
    return View(*(x.astype(np.float64) for x in sums), rows.visible)


def without_first(rows: Rows) -> View:
    """All visible keys but token 0; rows with almost nothing left are not defined (NaN)."""
    mass = rows.rest_mass.astype(np.float64)
    mass[rows.rest_mass < LEAST_REST * rows.mass] = np.nan
    rest = (rows.rest_square, rows.rest_log, rows.peak_rest)
    return View(mass, *(x.astype(np.float64) for x in rest), rows.visible - 1)


def with_slot(view: View, row_sum: RowMetric) -> View:
    """The view with a learned sink as one more key: its mass is never renormalised away."""
    slot = np.clip(1.0 - row_sum.astype(np.float64), 0.0, None)
    return View(
        view.mass + slot,
        view.square + slot**2,
        view.log + np.where(slot > 0, slot * np.log(np.where(slot > 0, slot, 1.0)), 0.0),
        np.maximum(view.peak, slot),
        view.visible + 1,
    )


def seen(metric: Metric, view: Callable[[Rows], View], rows: Rows, card: Card) -> View:
    """What a metric reads of each row, a sink slot too where it needs shares."""
    slotted = metric.needs_shares and card.sink_slot
    return with_slot(view(rows), rows.row_sum) if slotted else view(rows)


def row_values(
    metric: Metric, view: Callable[[Rows], View], rows: Rows, card: Card
) -> Float[np.ndarray, "B L H R"]:
    """The metric of every row; NaN where it is not defined (no mass, or one key: H / ln 1)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return metric.compute(seen(metric, view, rows, card))


def metric_of(key: str) -> Metric:
    """The metric of that key; raises KeyError with the keys there are."""
    for metric in METRICS:
        if metric.key == key:
            return metric
    raise KeyError(f"no metric {key!r} of rows; there are {[m.key for m in METRICS]}")


def late(metric: RowMetric, rows: Rows) -> Float[np.ndarray, "B L H late"]:
    """The metric of rows from FIRST_ROW on."""
    return metric[..., rows.at >= FIRST_ROW]


def metric_score(
    metric: Metric,
    view: Callable[[Rows], View],
    reading: PromptReading,
    controls: PromptControls | None,
    card: Card,
) -> Score:
    """One metric in one view."""
    rest, slotted = view is without_first, metric.needs_shares and card.sink_slot

    def rows_of(rows: Rows) -> RowMetric:
        return late(row_values(metric, view, rows, card), rows)

    n = seen(metric, view, reading.rows, card).visible[reading.rows.at >= FIRST_ROW]
    rows = rows_of(reading.rows)
    dropped = int(np.isnan(rows).sum())
    return score(
        rows,
        reading,
        tuple(
            control(name, EXPECT[name], name == TWIN, rows_of(r), reading.request.seed)
            for name, r in each(controls).items()
            if name in EXPECT
        ),
        key=metric.key + ("_rest" if rest else ""),
        title=metric.title + (", without token 0" if rest else ""),
        unit=metric.unit,
        low_end=0.0,
        high_end=metric.high_end,
        provenance=provenance(metric, card),
        definition=metric.definition
        + (" The sink slot counts as one more key." if slotted else "")
        + f" Mean over rows from {FIRST_ROW} on"
        + (", token 0 left out and the rest renormalised." if rest else "."),
        source=metric.source,
        uniform=float(metric.uniform(n).mean()),
        stronger=metric.stronger,
        note=f"{dropped} rows with under {LEAST_REST:g} of their mass left were dropped."
        if dropped
        else "",
    )


def provenance(metric: Metric, card: Card) -> Provenance:
    """Rows that are no shares: entropy and the like then read |A| / Σ|A|, a proxy."""
    if not card.exact:
        return "estimator"
    if metric.needs_shares and not card.reads_shares:
        return "proxy"
    return "derived" if metric.derived else "measured"


def score_concentration(
    reading: PromptReading, controls: PromptControls | None, card: Card
) -> Result:
    """S, effective keys, entropy and largest weight of every head, always in both views.

    Raises Refused for a prompt too short to have two rows that count.
    """
    length = len(reading.request.ids)
    if length < FIRST_ROW + 2:
        raise Refused(
            f"Concentration needs {FIRST_ROW + 2} tokens or more, because it leaves out the first "
            f"{FIRST_ROW} rows; this prompt has {length}."
        )
    late_rows = int((reading.rows.at >= FIRST_ROW).sum())
    if late_rows < 2:
        raise Refused(
            f"Concentration needs 2 sampled query rows from row {FIRST_ROW} on; the sample has "
            f"{late_rows}. Read more rows."
        )
    return Result(
        probe="concentration",
        model=card.name,
        digest=card.digest,
        device=card.device,
        request=reading.request.plain(),
        scores=tuple(
            metric_score(metric, view, reading, controls, card)
            for metric in METRICS
            for view in (all_keys, without_first)
        ),
        notes=(
            "Much of a pretrained model's concentration is its sink: compare both views.",
            "Entropy grows with ln n: compare lengths by the normalised one.",
        ),
    )
