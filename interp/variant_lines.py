"""Variants side by side as Results: row by row, what they cost, and the matrix of one head."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from interp.exhibits import Curve, Provenance, Series
from interp.matrices import matrix
from interp.result import Result
from interp.subject import Refused
from interp.variants import Report
from models.registry import VARIANTS

ONE_DRAW = (
    "One draw of weights and input: no interval and no null here; the scores of the same variants "
    "over all draws have an interval, and the uniform matrix beside them."
)
BY_FORMULA = "For one layer and one sequence; a formula has no sample to draw, and so no null."
ROWS = (
    ("row_sum", "Row sum", "weight", "Σ_j a_ij.", "Su 2023, kexue.fm/archives/9889"),
    ("spread", "S(a)", "ratio", "E|a| / √E[a²] over the keys a row can see; 1 is uniform, smaller "
     "is more concentrated.", "Su 2023, kexue.fm/archives/9889"),
    ("effective", "Effective keys", "keys", "n·S²: (Σ|a|)² / Σa².", "models/README.md"),
)  # fmt: skip
WIDTH = 2  # bytes of a kept number


def lines(reports: Sequence[Report], head: int) -> Result:
    """Every row of one head, and the costs of a layer, a line for each variant.

    Raises Refused for a head that one of them has not.
    """
    check_head(reports, head)
    first = reports[0].result
    return Result(
        probe="variants-lines",
        model=", ".join(report.name for report in reports),
        digest=digest(reports, head),
        device=first.device,
        request=asked(reports, head),
        scores=(),
        curves=(*(row_curve(reports, head, *row) for row in ROWS), *cost_curves(reports)),
        notes=first.notes,
    )


def head_matrix(report: Report, head: int) -> Result:
    """One head's matrix of the chosen seed; raises Refused for a head that there is not."""
    check_head([report], head)
    tokens = [""] * len(report.pattern[head])  # random input has no words, only places
    shown = matrix(report.pattern[head], tokens, f"{report.name} H{head}", not report.nonnegative)
    shown = replace(
        shown,
        definition="The matrix that this head of an untrained layer applies to a random input.",
        n_of="tokens of one random input",
        note="One draw of weights and input: entries have no interval and no null.",
    )
    return Result(
        probe="variants-matrix",
        model=report.name,
        digest=digest([report], head),
        device=report.result.device,
        request=asked([report], head),
        scores=(),
        heats=(shown,),
    )


def check_head(reports: Sequence[Report], head: int) -> None:
    """Raise Refused for a head that one of the variants has not."""
    for report in reports:
        if not 0 <= head < len(report.pattern):
            raise Refused(f"{report.name} has {len(report.pattern)} heads and no H{head}.")


def asked(reports: Sequence[Report], head: int) -> dict:
    """What makes the same numbers again."""
    first = reports[0].result.request
    names = [report.name for report in reports]
    return {"names": names, "seed": first["seed"], "length": first["length"], "head": head}


def digest(reports: Sequence[Report], head: int) -> str:
    """Names the variants' own digests and the head."""
    words = " ".join([*(report.result.digest for report in reports), str(head)])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def row_curve(
    reports: Sequence[Report], head: int, key: str, title: str, unit: str, words: str, source: str
) -> Curve:
    """One number of every row of the chosen seed."""
    kind = "measured" if key == "row_sum" else "derived"
    return Curve(
        key=key,
        title=f"{title} of H{head}, row by row",
        x_title="query row (token)",
        unit=f"{title.lower()} ({unit})" if key == "row_sum" else f"{title} ({unit})",
        definition=words,
        source=source,
        n_of="draw of weights and input",
        series=tuple(
            line(
                report.name,
                np.arange(len(report.row_sum[head])),
                getattr(report, key)[head],
                kind if VARIANTS[report.name].traits.exact else "estimator",
            )
            for report in reports
        ),
        note=ONE_DRAW,
    )


def cost_curves(reports: Sequence[Report]) -> tuple[Curve, Curve]:
    """What a decoder keeps, and what a forward pass computes, as the context grows."""
    given = {"x_title": "tokens", "source": "models/README.md", "log_x": True, "log_y": True,
             "n_of": "evaluation of a formula", "note": BY_FORMULA}  # fmt: skip
    kept, flops = [], []
    for report in reports:
        costs = report.costs
        kept.append(line(report.name, costs.lengths, [WIDTH * n for n in costs.cache], "derived"))
        flops.append(line(report.name, costs.lengths, costs.flops, "derived"))
    return (
        Curve(key="bytes", title="Bytes kept as the context grows", unit="bytes",
              definition="What a decoder keeps after so many tokens, at 2 bytes a number.",
              series=tuple(kept), **given),
        Curve(key="flops", title="FLOPs as the context grows", unit="FLOPs",
              definition="A forward pass of so many tokens: the FLOPs of its matrix products, "
              "fused attention as the full square.", series=tuple(flops), **given),
    )  # fmt: skip


def line(
    name: str,
    x: Sequence[int] | np.ndarray,
    value: Sequence[int] | np.ndarray,
    kind: Provenance,
) -> Series:
    """A line without intervals; what was measured once or comes by formula has none."""
    at, values = np.asarray(x, np.float64), np.asarray(value, np.float64)
    none = np.full(len(at), np.nan)
    return Series(
        name=name, role="measured", x=at, value=values, low=none, high=none,
        n=np.ones(len(at), np.int64), provenance=kind,
    )  # fmt: skip
