"""A comparison as a Result: every metric on one axis, words, texts, seeds and differences."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from interp.compare.differences import (
    SIMULTANEOUS,
    Seeds,
    all_differences,
    own,
    sentence,
    table,
)
from interp.compare.metrics import CACHE, METRICS, Metric
from interp.compare.reading import BYTES_EACH, CompareRequest, Reading
from interp.compare.samples import Span, span
from interp.compare.tables import continuations, seeds_table, who
from interp.exhibits import Curve, Heat, Provenance, Role, Series
from interp.labels import visible
from interp.probes.rows import TWIN
from interp.result import Result
from interp.studies.lines import bare

Point = tuple[int, Span, Provenance]  # place of the model, its number, where that comes from


def compared(
    models: Mapping[str, Seeds],
    request: CompareRequest,
    sort: str = "loss",
    refused: Mapping[str, str] | None = None,
) -> Result:
    """Models side by side, the one with the most of `sort` first.

    `refused` are models that could not be measured, each with a sentence.
    """
    refused = refused or {}
    placed = in_order(models, sort, request.seed)
    firsts = {name: seeds[0] for name, seeds in placed.items()}
    found = all_differences(placed, request.seed)
    titles = {name: one.card.title for name, one in firsts.items()}
    curves = [curve(metric, placed, request) for metric in METRICS if has(firsts, metric.key)]
    tables = [table(found)] if found else []
    tables += [continuations(firsts, request), *seeds_table(placed, request.seed), who(firsts)]
    return Result(
        probe="compare",
        model=", ".join(firsts),
        digest=joined(firsts.values()),
        device=next(iter(firsts.values())).card.device,
        request={**asdict(request), "models": list(firsts), "seeds": by_name(placed), "sort": sort},
        scores=(),
        answer=sentence(found, titles),
        curves=(*curves, *cache_curve(firsts)),
        heats=words_heat(firsts),
        tables=tuple(tables),
        notes=(*notes(found, request), *sentences(firsts, refused)),
    )


def in_order(models: Mapping[str, Seeds], sort: str, seed: int) -> dict[str, Seeds]:
    """Models with the most of a number first, those without it last."""

    def value(name: str) -> float:
        one = models[name][0]
        if sort == CACHE:
            return -np.inf if one.cache is None else float(one.cache)
        return own(one, sort, seed) if sort in one.samples else -np.inf

    return {name: models[name] for name in sorted(models, key=value, reverse=True)}


def by_name(models: Mapping[str, Seeds]) -> dict[str, list[str]]:
    """Names of what stands behind each model: itself, and its other seeds."""
    return {name: [one.card.name for one in seeds] for name, seeds in models.items()}


def has(firsts: Mapping[str, Reading], key: str) -> bool:
    """Whether any model has the number."""
    return any(key in one.samples for one in firsts.values())


def joined(readings: Iterable[Reading]) -> str:
    """16 hex digits that name all of the models."""
    names = ",".join(sorted(one.card.digest for one in readings))
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def curve(metric: Metric, models: Mapping[str, Seeds], request: CompareRequest) -> Curve:
    """One metric of every model and its twin; points of other seeds beside."""
    series: list[Series] = []
    deepest = max(len(seeds) for seeds in models.values())
    for depth in range(deepest):
        name = "the model" if not depth else f"another seed, {depth}"
        series += lines(name, "measured", points(metric, models, request.seed, depth, 0))
    series += lines(TWIN, "null", points(metric, models, request.seed, 0, 1))
    return Curve(
        key=metric.key,
        title=metric.title,
        x_title="model",
        unit=metric.unit,
        definition=metric.definition,
        source=metric.source,
        n_of=metric.n_of,
        series=tuple(series),
        labels=tuple(models),
    )


def points(
    metric: Metric, models: Mapping[str, Seeds], seed: int, depth: int, which: int
) -> list[Point]:
    """The numbers of all models that have one: `depth`-th seed; which = 1: of its twin."""
    found = []
    for at, seeds in enumerate(models.values()):
        if depth < len(seeds) and metric.key in seeds[depth].samples:
            one = seeds[depth]
            found.append((at, span(one.samples[metric.key][which], seed), metric.kind(one.card)))
    return found


def lines(name: str, role: Role, found: Sequence[Point]) -> list[Series]:
    """One series for each kind of number among the points."""
    kinds = dict.fromkeys(kind for _, _, kind in found)
    return [
        series(name if kind == "measured" else f"{name} ({kind})", role, kind,
               [(at, value) for at, value, mine in found if mine == kind])
        for kind in kinds
    ]  # fmt: skip


def series(name: str, role: Role, kind: Provenance, found: Sequence[tuple[int, Span]]) -> Series:
    """Points with their intervals."""
    at = np.array([place for place, _ in found], dtype=np.float64)
    value, low, high, n = np.array([ends for _, ends in found], dtype=np.float64).T
    return Series(
        name=name, role=role, x=at, value=value, low=low, high=high, n=n.astype(np.int64),
        provenance=kind,
    )  # fmt: skip


def cache_curve(firsts: Mapping[str, Reading]) -> tuple[Curve, ...]:
    """What a decoder keeps after the prompt."""
    known = {at: one.cache for at, one in enumerate(firsts.values()) if one.cache is not None}
    if not known:
        return ()
    values = np.array(list(known.values()), dtype=np.float64)
    lengths = ", ".join(f"{name} {one.tokens}" for name, one in firsts.items())
    return (
        Curve(
            key=CACHE,
            title="Cache after the prompt",
            x_title="model",
            unit="bytes",
            definition=(
                f"What a decoder keeps of the prompt, all layers, at {BYTES_EACH} bytes a number: "
                "keys and values, or the state of a recurrence; by each variant's formula, which "
                "tests count after. A model that writes the text in more tokens keeps more."
            ),
            source="formulas of models/attention; Su Jianlin 2024, kexue.fm/archives/10091",
            n_of="formula",
            series=(bare("the model", "measured", np.array(list(known)), values),),
            labels=tuple(firsts),
            note=f"No interval and no null: a formula, exact. Tokens of the prompt: {lengths}.",
        ),
    )


def words_heat(firsts: Mapping[str, Reading]) -> tuple[Heat, ...]:
    """The loss of every word in every model."""
    known = {name: one for name, one in firsts.items() if one.nats is not None}
    if not known:
        return ()
    words = next(iter(known.values())).words
    value, twin = (
        np.stack([getattr(one, field) for one in known.values()]) for field in ("nats", "twin_nats")
    )
    none = np.full(value.shape, np.nan)
    return (
        Heat(
            key="words",
            title="Loss of every word",
            row_title="model",
            column_title="word",
            rows=tuple(known),
            columns=tuple(visible(word.strip()) for word in words),
            unit="nats per word",
            provenance="measured",
            definition=(
                "Surprise at each word given those before it: the nats of its tokens, those of a "
                "token that writes more than one word shared out by bytes."
            ),
            source="negative log-likelihood",
            value=value,
            low=none,
            high=none,
            n=1,
            n_of="text",
            nulls={TWIN: twin},
            note="One text and one number a word, so there is no interval. The first word counts "
            "nowhere else: some models foretell nothing there.",
        ),
    )


def notes(found: Sequence[object], request: CompareRequest) -> tuple[str, ...]:
    """What has to be known of all of it."""
    opened = (
        "Each prompt stands after the token that opens a text, where the tokenizer has one."
        if request.opened
        else "Token 0 is the prompt's first token: nothing was put before it."
    )
    return (
        opened,
        f"{SIMULTANEOUS}: {len(found)} differences were looked at.",
        "The strongest head is picked by the score that it then shows, so that its value is a "
        "little too high; its null is the twin's strongest head, picked the same way.",
        "Rows and words of one prompt are resampled in blocks; they are one prompt, and say "
        "nothing about other texts.",
    )


def sentences(firsts: Mapping[str, Reading], refused: Mapping[str, str]) -> tuple[str, ...]:
    """Models, and numbers of models, that are not there, each with its reason."""
    partly = [reason for one in firsts.values() for reason in one.refused.values()]
    return tuple(dict.fromkeys([*refused.values(), *partly]))
