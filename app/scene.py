"""Scene: all that the Explore page can show of a selection right now, and what is still to come."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from app.components.mosaic import mosaic_png
from app.engine_room import PATIENCE, Answer, ask, engine
from app.starters import MODEL, STARTERS, Saved, saved
from app.state import Selection
from interp import prompts
from interp.catalog import entries
from interp.engine.cost import longest_prompt, memory_budget
from interp.engine.job import Work
from interp.engine.works import key_of, load_work, pattern_work, reading_work, scores_work
from interp.measurements.prompt import PromptReading, PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.registry import PROBES, PROMPT
from interp.result import Result
from interp.subject import Card, Subject, Tokens

FOR_A_MATRIX = 1.0  # seconds: it takes 10 ms, and a second rerun costs more than waiting in line


@dataclass
class Scene:
    """Filled as far as results have come in; a page draws what there is."""

    card: Card | None = None
    tokens: Tokens | None = None
    thumbs: Float[np.ndarray, "L H S S"] | None = None
    mosaic: bytes | None = None
    results: dict[str, Result] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)  # probe -> why it has no result
    pending: list[Answer] = field(default_factory=list)
    problem: str = ""  # why nothing can be shown
    stored: Saved | None = None  # where it all comes from, if it was saved

    @property
    def request(self) -> PromptRequest:
        """What the prompt probes were asked."""
        return PromptRequest(ids=self.tokens.ids)

    def take(self, answer: Answer) -> object | None:
        """The answer's result; what is pending or went wrong is noted on the scene."""
        if answer.pending:
            self.pending.append(answer)
        elif answer.problem:
            self.problem = answer.problem
        return answer.result

    def pattern(self, layer: int, head: int) -> Float[np.ndarray, "T T"] | None:
        """One head's matrix, saved or rebuilt; None while it is on its way."""
        if self.stored:
            return self.stored.pattern(layer, head)
        work = pattern_work(self.card, self.request, layer, head)
        found = self.take(ask(work, "pattern", FOR_A_MATRIX))
        return found.pattern if found else None


def subject_of(name: str, slot: str) -> tuple[Subject | None, Answer | None]:
    """A model for its card and tokenizer, or the answer that says why it is not there (yet)."""
    subject = engine().shelf.peek(name)
    if subject is not None:
        return subject, None
    known = entries()
    answer = ask(load_work(name, known[name].title if name in known else name), slot)
    return answer.result, None if answer.result else answer


def build(selection: Selection) -> Scene:
    """The scene of a selection, from saved results where they are those of this very model."""
    starter = STARTERS.get(selection.starter)
    if starter and selection.model == MODEL and not selection.special:
        stored = saved(selection.starter)
        subject = engine().shelf.peek(MODEL)
        if stored and (subject is None or subject.card.digest == stored.card.digest):
            return from_saved(stored, selection.starter)
    return live(selection, starter.text if starter else selection.text)


def from_saved(stored: Saved, name: str) -> Scene:
    """A scene that needs no model."""
    key = f"mosaic of starter {name} {stored.card.digest}"
    png = engine().cache.get(key)
    if png is None:
        png = mosaic_png(stored.thumbs, not stored.card.reads_shares)
        engine().cache.put(key, png)
    return Scene(
        card=stored.card,
        tokens=stored.tokens,
        thumbs=stored.thumbs,
        mosaic=png,
        results=dict(stored.results),
        stored=stored,
    )


def live(selection: Selection, text: str) -> Scene:
    """A scene from the engine: first the prompt, then scores, then their nulls."""
    scene = Scene()
    subject, loading = subject_of(selection.model, "model")
    if subject is None:
        scene.take(loading)
        return scene
    scene.card = subject.card
    try:
        scene.tokens = subject.encode(prompts.check(text), selection.special)
        check_length(scene.card, len(scene.tokens.ids))
    except prompts.PromptError as problem:
        scene.tokens, scene.problem = None, str(problem)
        return scene
    reading = scene.take(ask(reading_work(scene.card, PROMPT, scene.request), "reading", PATIENCE))
    if reading is None:
        return scene
    scene.thumbs = reading.thumbs
    scene.mosaic = scene.take(ask(mosaic_work(scene.card, reading), "mosaic", PATIENCE))
    add_scores(scene)
    return scene


def check_length(card: Card, tokens: int) -> None:
    """Raise PromptError for a prompt over the model's context or the memory budget."""
    budget = memory_budget()
    limit = longest_prompt(card, budget)
    if tokens > limit:
        raise prompts.PromptError(prompts.too_many_tokens(tokens, limit, card.n_ctx, budget))


def mosaic_work(card: Card, reading: PromptReading) -> Work:
    """The picture of all thumbnails."""
    return Work(
        key_of(card, "mosaic", reading.request),
        "Drawing thumbnails",
        lambda e, p: mosaic_png(reading.thumbs, not card.reads_shares),
        urgent=True,
    )


def add_scores(scene: Scene) -> None:
    """Results of all probes, with nulls where they are there already; one job at a time."""
    requests = {
        name: scene.request if probe.measurement.needs_prompt else RepeatsRequest()
        for name, probe in PROBES.items()
    }
    works = {
        name: scores_work(scene.card, name, request, with_controls=True)
        for name, request in requests.items()
    }
    scene.results = {
        name: result
        for name, work in works.items()
        if (result := engine().cache.get(work.key)) is not None
    }
    unscored = [name for name in PROBES if name not in scene.results]
    plain = [
        (name, scores_work(scene.card, name, requests[name], with_controls=False))
        for name in unscored
    ]
    for name, work in [*plain, *((name, works[name]) for name in unscored)]:
        if name in scene.refusals:
            continue
        answer = ask(work, "scores", PATIENCE / 2)
        if answer.pending:
            scene.pending.append(answer)
            return
        if answer.problem:
            scene.refusals[name] = answer.problem
        else:
            scene.results[name] = answer.result
