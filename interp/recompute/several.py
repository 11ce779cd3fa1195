"""Results of several models again, or of none: comparisons, training, recall, variants, RoPE."""

from dataclasses import fields
from typing import Any

from interp import rope, variants
from interp import variant_lines as side_by_side
from interp.catalog import load
from interp.compare import summaries
from interp.compare.metrics import SORTS
from interp.compare.reading import CompareRequest
from interp.compare.shown import compared
from interp.compare.work import compare_work
from interp.engine.job import Work
from interp.findings import run as finding
from interp.findings.shown import as_result
from interp.progress import Progress
from interp.recall import across, example, shown, span
from interp.recall import compared as recall_table
from interp.recall.reading import RecallRequest
from interp.recall.runs import kept, kept_model
from interp.recompute.anew import Anew, check_head, listed
from interp.recompute.asked import fill
from interp.recompute.one_model import Run, named_head, part, whole
from interp.result import Result
from interp.rope import CurveRequest, DistancesRequest
from interp.subject import Refused, Subject
from interp.summary import SummaryRequest
from interp.training.moments import moment_work
from interp.training.shown import trained
from interp.training.snapshots import along
from interp.variants import VariantsRequest

MOST = 64  # models, or snapshots of each, that a Result may name


def names(raw: Any) -> list[str]:
    """Names of a request's list; raises Refused for anything else."""
    if not isinstance(raw, list) or not 0 < len(raw) <= MOST:
        raise Refused(f"What was asked cannot be read: it names no list of 1 to {MOST} models.")
    if not all(isinstance(one, str) for one in raw):
        raise Refused("What was asked cannot be read: a model's name is no text.")
    return raw


def lists(raw: Any) -> dict[str, list]:
    """A list by each name; raises Refused for anything else."""
    if not isinstance(raw, dict) or not all(isinstance(one, list) for one in raw.values()):
        raise Refused("What was asked cannot be read: it names no models.")
    names(list(raw))
    return raw


def only(kind: type, request: dict[str, Any]) -> dict[str, Any]:
    """The values that belong to a kind of request."""
    return part(request, *(field.name for field in fields(kind)))


def comparison(frozen: Result) -> Run:
    """Models side by side on one prompt, each with its other seeds."""
    request = fill(CompareRequest, only(CompareRequest, frozen.request))
    groups, sort = lists(frozen.request.get("seeds")), frozen.request.get("sort")
    if sort not in SORTS:
        raise Refused(f"Models are not sorted by {sort!r:.40}; there are {', '.join(SORTS)}.")
    for one in (one for group in groups.values() for one in names(group)):
        listed(one)

    def run(engine: Anew, progress: Progress) -> Result:
        def reading(name: str) -> Any:
            card = engine.subject(name, progress).card
            return engine.compute(compare_work(card, request), progress)

        models = {name: [reading(one) for one in group] for name, group in groups.items()}
        return compared(models, request, sort)

    return run


def training(frozen: Result) -> Run:
    """Snapshots along the training of models, each measured again."""
    request = fill(SummaryRequest, only(SummaryRequest, frozen.request))
    asked = lists(frozen.request.get("snapshots"))
    ways = {name: [one for one in along(name) if one.step in asked[name]] for name in asked}
    for name, steps in asked.items():
        if [one.step for one in ways[name]] != steps:
            raise Refused(f"{name[:80]!a} no longer has the snapshots that were measured.")

    def run(engine: Anew, progress: Progress) -> Result:
        found = {
            name: [(one, engine.compute(moment_work(one, request), progress)) for one in way]
            for name, way in ways.items()
        }
        return trained(found, request)

    return run


def several_summaries(frozen: Result) -> Run:
    """Models in a few numbers each."""
    request = fill(SummaryRequest, only(SummaryRequest, frozen.request))
    asked = [listed(name) for name in names(frozen.request.get("models"))]
    return lambda engine, progress: summaries.summaries(
        (engine.subject(name, progress) for name in asked), request, progress
    )


def findings(frozen: Result) -> Run:
    """Published findings held against the zoo again."""
    request = fill(SummaryRequest, frozen.request)

    def run(engine: Anew, progress: Progress) -> Result:
        judged = finding.findings(request, progress)
        return as_result(judged, load(finding.AROUND).card, {**vars(request)})

    return run


def recaller(engine: Anew, name: str, progress: Progress) -> Subject:
    """A model of the recall task, or one of the catalogue."""
    return kept_model(name) if name in kept() else engine.subject(name, progress)


def listed_or_kept(name: str) -> str:
    """The name, if it is one of either; raises Refused otherwise."""
    return name if name in kept() else listed(name)


def recall(frozen: Result) -> Run:
    """Every query of the recall task."""
    name, request = listed_or_kept(frozen.model), fill(RecallRequest, frozen.request)
    return lambda engine, progress: shown.run(recaller(engine, name, progress), request, progress)


def recall_window(frozen: Result) -> Run:
    """Within a window and beyond."""
    name, request = listed_or_kept(frozen.model), fill(RecallRequest, frozen.request)
    return lambda engine, progress: span.run(recaller(engine, name, progress), request, progress)


def recall_example(frozen: Result) -> Run:
    """One sequence of the task."""
    name, request = (
        listed_or_kept(frozen.model),
        fill(RecallRequest, only(RecallRequest, frozen.request)),
    )
    at = whole(frozen, "sequence", "sequence")
    return lambda engine, progress: (
        example.run(recaller(engine, name, progress), request, at, progress).result
    )


def recall_matrix(frozen: Result) -> Run:
    """One head's matrix on a sequence of the task."""
    name, here = listed_or_kept(frozen.model), named_head(frozen)
    request = fill(RecallRequest, only(RecallRequest, frozen.request))
    at = whole(frozen, "sequence", "sequence")

    def run(engine: Anew, progress: Progress) -> Result:
        subject = recaller(engine, name, progress)
        check_head(subject.card, *here)
        found = example.run(subject, request, at, progress)
        return example.head_matrix(subject.card, found, *here)

    return run


def recall_models(frozen: Result) -> Run:
    """All models of the recall task of one size."""
    request = fill(RecallRequest, only(RecallRequest, frozen.request))
    asked = [listed_or_kept(one) for one in str(frozen.request.get("models")).split(", ")[:MOST]]
    return lambda engine, progress: across.run(
        [recaller(engine, name, progress) for name in asked], request, progress
    )


def recall_runs(frozen: Result) -> Run:
    """The shipped table of recall models."""
    return lambda engine, progress: recall_table.compared()


def variant(frozen: Result) -> Run:
    """Untrained layers of one variant."""
    asked = part(frozen.request, "seed", "length")
    request = fill(VariantsRequest, {"names": [frozen.model], **asked})
    work = variants.work(request)
    return lambda engine, progress: engine.compute(work, progress)[0].result


def variant_lines(frozen: Result) -> Run:
    """Variants side by side."""
    work, head = variants_asked(frozen), whole(frozen, "head", "head")
    return lambda engine, progress: side_by_side.lines(engine.compute(work, progress), head)


def variant_matrix(frozen: Result) -> Run:
    """One head's matrix of an untrained layer."""
    work, head = variants_asked(frozen), whole(frozen, "head", "head")
    return lambda engine, progress: side_by_side.head_matrix(
        engine.compute(work, progress)[0], head
    )


def variants_asked(frozen: Result) -> Work:
    """What reads a request's variants again."""
    return variants.work(fill(VariantsRequest, part(frozen.request, "names", "seed", "length")))


def rope_curve(frozen: Result) -> Run:
    """f_b(m) of one base."""
    work = rope.curve_work(fill(CurveRequest, frozen.request))
    return lambda engine, progress: engine.compute(work, progress).result


def rope_bound(frozen: Result) -> Run:
    """The lowest base of one context."""
    work = rope.bound_work(whole(frozen, "length", "context"))
    return lambda engine, progress: engine.compute(work, progress)


def rope_distances(frozen: Result) -> Run:
    """How far keys seem under each way to extrapolate."""
    request = fill(DistancesRequest, frozen.request)
    return lambda engine, progress: rope.distances(request)
