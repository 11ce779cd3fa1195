"""All findings: read the shipped models, judge, keep."""

import json
from pathlib import Path

from interp.catalog import load
from interp.findings.claims import CLAIMS, RECALLS
from interp.findings.judge import Finding, judge
from interp.findings.numbers import Number, of_summary, recalls, summaries
from interp.findings.shown import as_result, as_text
from interp.progress import Progress
from interp.result import Result
from interp.summary import SummaryRequest
from models import shelf
from models.shelf import put_json

KEPT, TEXT = "findings.json", "FINDINGS.md"
AROUND = "zoo-mha"  # the model that most comparisons are made with


def numbers(request: SummaryRequest, progress: Progress) -> list[Number]:
    """Every number that a claim speaks of."""
    asked = [one for claim in CLAIMS for one in claim.comparisons]
    plain = {name for one in asked if one.metric not in RECALLS for name in (one.one, one.other)}
    read = summaries(plain, request, progress)
    metrics = {one.metric for one in asked}
    found = [
        of_summary(member, seed, figure)
        for (member, seed), summary in read.items()
        for figure in summary.figures
        if figure.key in metrics
    ]
    for metric in RECALLS:
        found += recalls({name for one in asked for name in (one.one, one.other)}, metric)
    return found


def findings(request: SummaryRequest, progress: Progress) -> tuple[Finding, ...]:
    """Every claim judged; raises ValueError where the zoo lacks a model that one needs."""
    ours = numbers(request, progress)
    return tuple(judge(claim, ours) for claim in CLAIMS)


def keep(folder: Path, request: SummaryRequest, progress: Progress) -> Result:
    """Judge, and write FINDINGS.md and what pages show."""
    judged = findings(request, progress)
    card = load(AROUND).card
    made = shelf.read_card(shelf.SHIPPED / "mha")["made_with"]
    words = f"Headlamp {made['headlamp']}, torch {made['torch']}, on {made['machine']}"
    found = as_result(judged, card, {**vars(request)})
    put_json(json.loads(found.to_json()), folder / KEPT)
    (folder / TEXT).write_text(as_text(judged, words), encoding="utf-8")
    return found


def kept(folder: Path = shelf.SHIPPED) -> Result | None:
    """What was kept; None where nothing was."""
    path = folder / KEPT
    return Result.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
