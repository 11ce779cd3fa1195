"""A dashboard as one JSON file with its Results and their digests; and the file opened again."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from app.export.digests import Digests, digests
from app.export.schema import Unfit, check
from interp.exhibits import Curve, Heat
from interp.result import Result, Score
from interp.sets.strict import RowProblem, decode
from interp.store.blocks import KINDS, MAX_BLOCKS, MAX_TEXT, Block, Panel, block_from
from interp.store.snapshots import block_json, result_json, without_paths

FORMAT = "headlamp-dashboard-1"
MOST = 32 * 2**20  # bytes of a file
TITLE = 200  # characters
Array = Float[np.ndarray, " N"]
NAME = re.compile(r"[0-9a-f]{64}")
FIELDS = {"format", "title", "blocks", "results"}
# In a page that `report` wrote; what stands between cannot hold the end.
START, END = '<script type="application/json" id="headlamp-dashboard">', "</script>"


class FileProblem(ValueError):
    """Why a file is not opened, in one sentence for whoever dropped it."""


@dataclass(frozen=True)
class Opened:
    """A dashboard out of a file. Its words are other people's: show them as text."""

    title: str
    blocks: tuple[Block, ...]
    results: Mapping[str, Result]  # by the names in the blocks
    digests: Mapping[str, Digests]  # of each Result


def pack(title: str, blocks: Sequence[Block], results: Mapping[str, Result]) -> bytes:
    """The file. What is listed here leaves the server, and no path, account or other prompt."""
    told = {
        "format": FORMAT,
        "title": title,
        "blocks": [block_json(block) for block in blocks],
        "results": {name: result_json(result) for name, result in results.items()},
    }
    told = without_paths(told)
    for name, raw in told["results"].items():
        made = Result.from_json(json.dumps(raw))
        told["results"][name] = {"digests": asdict(digests(made)), "result": raw}
    return json.dumps(told).encode("ascii")


def open_file(data: bytes) -> Opened:
    """The dashboard of a file that `pack` or `report` wrote; raises FileProblem for any other."""
    if len(data) > MOST:
        raise FileProblem(f"The file has {len(data):,} bytes; a dashboard has {MOST:,} at most.")
    told = parsed(data)
    blocks = tuple(block_of(raw, number) for number, raw in enumerate(told["blocks"], 1))
    found = {name: result_of(name, raw) for name, raw in told["results"].items()}
    for block in blocks:
        for name in block.results if isinstance(block, Panel) else ():
            if name not in found:
                raise FileProblem("A panel of the file names a Result that is not in it.")
    results = {name: result for name, (result, _) in found.items()}
    return Opened(told["title"], blocks, results, {name: d for name, (_, d) in found.items()})


def parsed(data: bytes) -> dict[str, Any]:
    """The outermost object, with the kinds of its fields checked."""
    try:
        told = decode(embedded(data.decode("utf-8-sig")))
    except UnicodeDecodeError as problem:
        raise FileProblem(f"The file is no text: byte {problem.start:,} is not UTF-8.") from None
    except RowProblem as problem:
        raise FileProblem(f"The file is no dashboard of Headlamp. {problem}") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT or set(told) != FIELDS:
        raise FileProblem(f"The file is no dashboard of Headlamp: it is not of format {FORMAT}.")
    if not isinstance(told["title"], str) or len(told["title"]) > TITLE:
        raise FileProblem(f"The file's title is no text of {TITLE} characters or less.")
    lists = isinstance(told["blocks"], list) and isinstance(told["results"], dict)
    if not lists or max(len(told["blocks"]), len(told["results"])) > MAX_BLOCKS:
        raise FileProblem(f"The file does not hold {MAX_BLOCKS} blocks and Results or less.")
    return told


def embedded(text: str) -> str:
    """The data inside a page that `report` wrote; any other text as it is."""
    if not text.lstrip()[:15].lower().startswith("<!doctype html"):
        return text
    start = text.find(START)
    if start < 0:
        raise FileProblem("The page holds no data of a Headlamp dashboard.")
    return text[start + len(START) :].split(END, 1)[0]


def block_of(raw: Any, number: int) -> Block:
    """A block, field by field."""
    named = raw.get("block") if isinstance(raw, dict) else None
    kind = KINDS.get(named) if isinstance(named, str) else None
    if kind is None or len(json.dumps(raw)) > MAX_TEXT:
        raise FileProblem(f"Block {number} of the file is no text and no panel, or too long.")
    values = {key: value for key, value in raw.items() if key != "block"}
    try:
        check(values, kind, f"Block {number}")
    except Unfit as problem:
        raise FileProblem(f"{problem} The file was not written by Headlamp.") from None
    return block_from(raw)


def result_of(name: str, raw: Any) -> tuple[Result, Digests]:
    """A Result that is what its digests say."""
    if not NAME.fullmatch(name) or not isinstance(raw, dict) or set(raw) != {"digests", "result"}:
        raise FileProblem("A Result of the file has no proper name, digests or numbers.")
    try:
        check(raw["result"], Result, "A Result")
        check_columns(raw["result"])
        check(raw["digests"], Digests, "Digests")
        made = Result.from_json(json.dumps(raw["result"]))
        fit_together(made)
    except (Unfit, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise FileProblem(f"A Result of the file cannot be read: {first_words(problem)}") from None
    stated, found = Digests(**raw["digests"]), digests(made)
    if stated != found:
        raise FileProblem(
            f"A Result of {made.probe[:60]!a} is not what the file was written with: result digest "
            f"{stated.result[:16]!a} then, {found.result[:16]} now. It was changed since."
        )
    return made, found


def first_words(problem: Exception) -> str:
    """A sentence of an exception, at most so long, in ASCII."""
    said = f"it lacks {problem}" if isinstance(problem, KeyError) else str(problem)
    return ascii(said.rstrip(".")[:200])[1:-1] + "."


def check_columns(raw: dict[str, Any]) -> None:
    """Raise Unfit for a column of numbers without a unit, or of words with one."""
    for table in raw.get("tables", ()):
        for column in table["columns"]:
            kind = Array if column.get("unit") else tuple[str, ...]
            check(column["values"], kind, "A column", {})


def fit_together(result: Result) -> None:
    """Raise ValueError where names and numbers of an exhibit are not of one length."""
    for curve in result.curves:
        check_labels(curve)
    for heat in result.heats:
        check_names(heat)
    for score in result.scores:
        check_heads(score)


def check_labels(curve: Curve) -> None:
    """x counts the labels, where there are any."""
    for series in curve.series if curve.labels else ():
        if not all(x in range(len(curve.labels)) for x in series.x.tolist()):
            raise ValueError("a curve has points where it has no label")


def check_names(heat: Heat) -> None:
    """A name for every row and column, and nulls of the same shape."""
    shape = (len(heat.rows), len(heat.columns))
    arrays = (heat.value, heat.low, heat.high, *heat.nulls.values())
    if any(array.shape != shape for array in arrays):
        raise ValueError("a heat map has other rows or columns than names")


def check_heads(score: Score) -> None:
    """Layers by heads."""
    if score.value.ndim != 2:
        raise ValueError("a score is no table of layers and heads")
