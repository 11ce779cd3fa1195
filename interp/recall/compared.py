"""Every trained recall model in one Result: accuracy by pairs, width and state, and the order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interp.exhibits import Curve, Series, Table
from interp.recall.order import SHARE, claims_table, short
from interp.recall.published import TRIAL
from interp.recall.runs import PAIRS, TABLE, WIDTH, Run, grouped, of_size, table
from interp.recall.shown import PAPER
from interp.recall.tables import accuracy, beside, every_run, rates
from interp.result import Result
from interp.studies.lines import Span, bare, line, means
from models.device import device_words

SEEDS = "seeds of the weights (interval: bootstrap over seeds where there are three)"
FEW = (
    "Points of fewer than three seeds have the interval over test sequences; another seed may "
    "differ by more."
)


@dataclass(frozen=True)
class Axis:
    """What accuracy is drawn against, and which runs differ in that alone."""

    key: str
    title: str
    x_title: str
    at: Callable[[Run], float]
    among: Callable[[Run], bool]


AXES = (
    Axis("by_pairs", "Accuracy by number of pairs", "pairs of a sequence (keys, each with a value)",
         lambda run: run.pairs, lambda run: run.width == WIDTH),
    Axis("by_width", "Accuracy by width", "width of the residual stream and of the head (numbers)",
         lambda run: run.width, lambda run: run.pairs == PAIRS),
    Axis("by_state", "Accuracy by state size", "state after a sequence (numbers kept, all layers)",
         lambda run: run.state, lambda run: run.pairs == PAIRS),
)  # fmt: skip


def compared(path: Path = TABLE) -> Result:
    """A table of runs as a Result, the shipped one by default; ValueError for a broken one."""
    runs, trials, digest = table(path)
    here = by_variant(of_size(runs))
    steps = claims_table(runs)
    return Result(
        probe="recall-table",
        model=f"{len(runs)} models of the recall task",
        digest=digest,
        device=device_words(),
        request={},
        scores=(),
        answer=answer(here, steps),
        curves=tuple(curve(axis, runs) for axis in AXES),
        tables=(steps, beside(runs), every_run(runs), rates(trials)),
        notes=(
            "Two layers of one head, no MLP, no positions, a convolution over three tokens before "
            "q, k and v of all; the same sequences in the same order, as many steps for all. The "
            "learning rate of a variant is the best of those in the last table, chosen at width "
            f"{WIDTH} with {PAIRS} pairs on sequences of their own, and kept for all its sizes.",
        ),
    )


def by_variant(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of one size by variant, those that recall more first."""
    found = grouped(runs, lambda run: run.variant)
    return dict(sorted(found.items(), key=lambda item: -accuracy(item[1]).value[0]))


def curve(axis: Axis, runs: Iterable[Run]) -> Curve:
    """A line for every variant, its twins' beside it, and guessing."""
    mine = [run for run in runs if axis.among(run)]
    series = [series_of(axis, name, own) for name, own in titled(mine).items()]
    twins = grouped(mine, axis.at)
    x = np.array(list(twins))
    null = [means(np.array([[run.untrained[0] for run in same]]), 0) for same in twins.values()]
    chance = np.full(len(x), mine[0].chance)
    return Curve(
        key=axis.key,
        title=axis.title,
        x_title=axis.x_title,
        unit=SHARE,
        definition="Share of queries at which the likeliest of all tokens is the key's value, over "
        "1,000 sequences that no model was trained on; mean over seeds. State size by the "
        "variants' cost formulas, with the tails of the convolutions.",
        source=PAPER,
        n_of=SEEDS,
        series=(
            *series,
            line("random-init twins", "null", x, joined(null)),
            bare("guessing a value", "theory", x, chance),
        ),
        log_x=True,
        note=FEW,
    )


def titled(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs by their variant's short title, in the order of the trial; those it lacks last."""
    order = list(TRIAL)

    def place(run: Run) -> int:
        return order.index(run.variant) if run.variant in order else len(order)

    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=place):
        found.setdefault(short(run.variant), []).append(run)
    return found


def series_of(axis: Axis, name: str, runs: list[Run]) -> Series:
    """A variant's line."""
    places = grouped(runs, axis.at)
    spans = joined([accuracy(same) for same in places.values()])
    return line(name, "measured", np.array(list(places)), spans)


def joined(spans: list[Span]) -> Span:
    """Spans of one number each, as one."""
    return Span(*(np.concatenate([getattr(s, name) for s in spans]) for name in vars(spans[0])))


def answer(here: dict[str, list[Run]], steps: Table) -> str:
    """Who recalls, in a sentence."""
    spans = {name: accuracy(runs) for name, runs in here.items()}
    said = ", ".join(f"{short(name)} {span.value[0]:.3f}" for name, span in spans.items())
    first = next(iter(here.values()))
    twin = np.mean([run.untrained[0] for runs in here.values() for run in runs])
    return (
        f"Steps of the claimed order that hold: {held(steps)}. "
        f"At width {WIDTH} with {PAIRS} pairs: {said} of queries (mean of "
        f"{len(first)} seed{'s' * (len(first) > 1)}; "
        f"guessing {first[0].chance:.3f}, random-init twins {twin:.3f})."
    )


def held(steps: Table) -> str:
    """How many of the claims hold at each size of the first width."""
    cells = {column.title: column.values for column in steps.columns}
    parts = []
    for pairs in dict.fromkeys([float(PAIRS), *sorted(cells["pairs"])]):
        words = [
            word
            for word, w, p in zip(cells["found"], cells["width"], cells["pairs"], strict=True)
            if (w, p) == (WIDTH, pairs)
        ]
        if words:
            parts.append(f"{words.count('holds')} of {len(words)} with {pairs:.0f} pairs")
    return ", ".join(parts)
