"""Results of one model again: scores of heads, matrices, studies, ablations, a look inside."""

from collections.abc import Callable
from typing import Any

from interp import summary
from interp.engine.works import ablation_work, pattern_work, scores_work, study_work
from interp.matrices import matrix_result
from interp.measurements.prompt import PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.progress import Progress
from interp.recompute.anew import Anew, check_head, check_prompt, listed
from interp.recompute.asked import fill
from interp.registry import probe
from interp.result import Result
from interp.studies.registry import study
from interp.subject import Card, Refused
from interp.summary import SummaryRequest
from interp.system2.inside.registry import inside
from interp.system2.work import inside_work

# What computes the Result, on the engine's worker. Making one raises Refused where the Result does
# not say enough, or what cannot be; running it where the model cannot be asked so.
Run = Callable[[Anew, Progress], Result]
PROMPT = "prompt"  # what a study's text is unless it says otherwise


def part(request: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those values of a request that there are."""
    return {name: request[name] for name in names if name in request}


def check(card: Card, request: Any) -> None:
    """Raise Refused where prompt or head of a request are none of this model."""
    if hasattr(request, "ids"):
        # A study that was asked of passages keeps no prompt that it did not read.
        if not request.ids and getattr(request, "text", PROMPT) == PROMPT:
            raise Refused(f"{card.name} was asked to read a prompt without tokens.")
        check_prompt(card, request.ids)
    if hasattr(request, "layer"):
        check_head(card, request.layer, request.head)


def scores(frozen: Result) -> Run:
    """A probe; with its nulls where the frozen one has some."""
    name = listed(frozen.model)
    prompt = probe(frozen.probe).measurement.needs_prompt
    request: Any = (
        fill(PromptRequest, part(frozen.request, "ids", "seed", "rows"))
        if prompt
        else fill(RepeatsRequest, part(frozen.request, "length", "sequences", "seed"))
    )
    controls = any(score.controls for score in frozen.scores)

    def run(engine: Anew, progress: Progress) -> Result:
        card = engine.subject(name, progress).card
        check(card, request)
        return engine.compute(scores_work(card, frozen.probe, request, controls), progress)

    return run


def a_study(frozen: Result) -> Run:
    """A study, with the settings it had."""
    name, asked = listed(frozen.model), study(frozen.probe)
    request = fill(asked.request, frozen.request)

    def run(engine: Anew, progress: Progress) -> Result:
        card = engine.subject(name, progress).card
        if reason := asked.why_not(card):
            raise Refused(reason)
        check(card, request)
        return engine.compute(study_work(card, frozen.probe, request), progress)

    return run


def ablation(frozen: Result) -> Run:
    """One head set to zero, as Explore does it."""
    name, method = listed(frozen.model), frozen.request.get("method")
    if method != "zero":
        raise Refused(f"An ablation by {method!r:.40} is made by a study, not by itself.")
    request = fill(PromptRequest, part(frozen.request, "ids", "seed"))
    layer, head = named_head(frozen)

    def run(engine: Anew, progress: Progress) -> Result:
        card = engine.subject(name, progress).card
        check(card, request)
        check_head(card, layer, head)
        return engine.compute(ablation_work(card, request, layer, head), progress)

    return run


def named_head(frozen: Result) -> tuple[int, int]:
    """The head that a request names; raises Refused where it names none."""
    return whole(frozen, "layer", "head"), whole(frozen, "head", "head")


def whole(frozen: Result, key: str, what: str) -> int:
    """A whole number of a request; raises Refused, saying what it names, where there is none."""
    found = frozen.request.get(key)
    if type(found) is not int:
        raise Refused(f"What was asked cannot be read: it names no {what}.")
    return found


def a_matrix(frozen: Result) -> Run:
    """One head's matrix on a prompt."""
    name, here = listed(frozen.model), named_head(frozen)
    request = fill(PromptRequest, part(frozen.request, "ids"))

    def run(engine: Anew, progress: Progress) -> Result:
        subject = engine.subject(name, progress)
        check(subject.card, request)
        check_head(subject.card, *here)
        found = engine.compute(pattern_work(subject.card, request, *here), progress)
        labels = [subject.label(token) for token in request.ids]
        return matrix_result(subject.card, request.ids, labels, here, found.pattern)

    return run


def a_summary(frozen: Result) -> Run:
    """A model in a few numbers."""
    name, request = listed(frozen.model), fill(SummaryRequest, frozen.request)
    return lambda engine, progress: summary.run(engine.subject(name, progress), request, progress)


def a_look_inside(frozen: Result) -> Run:
    """A question about the inside of System 2, of the examples and rewrites that it names."""
    name, asked = listed(frozen.model), inside(frozen.probe)
    request = fill(asked.request, frozen.request)

    def run(engine: Anew, progress: Progress) -> Result:
        card = engine.subject(name, progress).card
        return engine.compute(inside_work(card, frozen.probe, request), progress)

    return run
