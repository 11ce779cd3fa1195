"""Build the scene of a selection: from saved results, or from the engine one step at a time."""

import numpy as np

from app.components.mosaic import mosaic_png
from app.encoding import encoded
from app.engine_room import CANCELLED, PATIENCE, ask, engine, problems
from app.scene import Offer, Scene, check_length, subject_of
from app.starters import MODEL, STARTERS, Saved, saved
from app.state import ALL_ROWS, Selection
from interp import prompts
from interp.engine.forecast import forecast, sampled_rows
from interp.engine.job import Work
from interp.engine.works import key_of, reading_work, scores_work
from interp.measurements.prompt import PartialReading, PromptReading, PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.registry import PROBES, PROMPT
from interp.subject import Card


def build(selection: Selection) -> Scene:
    """The scene of a selection, from saved results where they are those of this very model.

    They are of seed 0; another seed is measured.
    """
    starter = STARTERS.get(selection.starter)
    if starter and selection.model == MODEL and not selection.special and not selection.seed:
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
    scene = Scene(seed=selection.seed)
    subject, loading = subject_of(selection.model, "model")
    if subject is None:
        scene.take(loading)
        return scene
    scene.card = subject.card
    try:
        tokens, counting = encoded(subject, prompts.check(text), selection.special, "tokens")
        if tokens is None:
            scene.take(counting)
            return scene
        check_length(scene.card, len(tokens.ids))
    except prompts.PromptError as problem:
        scene.problem = str(problem)
        return scene
    scene.tokens = tokens
    choose_rows(scene, selection.rows)
    if scene.offer is None:
        read(scene)
    return scene


def choose_rows(scene: Scene, asked: int | None) -> None:
    """All rows, the sample that was asked for until all are in, or an offer of the two."""
    n = len(scene.tokens.ids)
    sample = asked if asked not in (None, ALL_ROWS) and asked < n else None
    quick = sampled_rows(scene.card, n) if asked is None else None
    if sample:
        scene.refined = is_refined(scene)
        scene.rows = None if scene.refined else sample
        scene.refusal = problems().get(whole_reading(scene).key, "")
    elif quick and not has(whole_reading(scene)):
        scene.offer = Offer(forecast(scene.card, n, quick), forecast(scene.card, n))


def read(scene: Scene) -> None:
    """The reading, its picture and scores; what takes longer comes with `follow_up`."""
    answer = ask(reading_work(scene.card, PROMPT, scene.request), "reading", PATIENCE)
    reading = scene.take(answer)
    if reading is None:
        scene.partial = answer.partial or (nothing_read(scene.card) if answer.pending else None)
        return
    scene.reading, scene.thumbs, scene.partial = reading, reading.thumbs, all_read(reading)
    scene.mosaic = scene.take(ask(mosaic_work(scene.card, reading), "mosaic", PATIENCE))
    take_scores(scene)
    add_scores(scene, with_controls=False)


def nothing_read(card: Card) -> PartialReading:
    """A reading before its first layer."""
    return PartialReading(0, np.zeros((0, card.n_heads, 1, 1)), np.zeros((0, card.n_heads)))


def all_read(reading: PromptReading) -> PartialReading:
    """A reading as it is shown until it is scored."""
    rows = reading.rows
    share = np.abs(rows.first[0, ..., 0]) / np.maximum(rows.mass[0], 1e-30)
    return PartialReading(len(reading.thumbs), reading.thumbs, share.mean(-1))


def follow_up(scene: Scene) -> bool:
    """Ask for what comes after everything quick, the head's matrix too: all rows after a sample,
    then nulls. True when that gave results that the page does not show yet.
    """
    if scene.stored or scene.pending:
        return False
    shown = dict(scene.results)
    if scene.rows and refine(scene):
        return True
    if not scene.pending:
        add_scores(scene, with_controls=True)
    return any(result is not shown.get(name) for name, result in scene.results.items())


def refine(scene: Scene) -> bool:
    """Read and score all rows where a sample is on the page; True once they can take its place."""
    reading = ask(whole_reading(scene), "refine")
    answers = [reading]
    for work in whole_scores(scene) if reading.result is not None else ():
        if answers[-1].problem != CANCELLED:
            answers.append(ask(work, "refine"))
    scene.pending += [answer for answer in answers if answer.pending][:1]
    scene.refusal = CANCELLED if answers[-1].problem == CANCELLED else reading.problem
    return is_refined(scene)


def is_refined(scene: Scene) -> bool:
    """All rows are in, scored where that is possible: they can take the sample's place at once."""
    scored = (has(work) or work.key in problems() for work in whole_scores(scene))
    return has(whole_reading(scene)) and all(scored)


def whole_reading(scene: Scene) -> Work:
    """Reading all rows of the prompt."""
    return reading_work(scene.card, PROMPT, PromptRequest(ids=scene.tokens.ids, seed=scene.seed))


def whole_scores(scene: Scene) -> list[Work]:
    """What the page needs of all rows before it can show them."""
    request = PromptRequest(ids=scene.tokens.ids, seed=scene.seed)
    return [
        scores_work(scene.card, name, request, with_controls=False)
        for name, probe in PROBES.items()
        if probe.measurement.needs_prompt
    ]


def has(work: Work) -> bool:
    """Its result is there already."""
    return engine().cache.get(work.key) is not None


def mosaic_work(card: Card, reading: PromptReading) -> Work:
    """The picture of all thumbnails."""
    return Work(
        key_of(card, "mosaic", reading.request),
        "Drawing thumbnails",
        lambda e, p: mosaic_png(reading.thumbs, not card.reads_shares),
        urgent=True,
        aside=lambda engine: True,
    )


def scores_of(scene: Scene, with_controls: bool) -> dict[str, Work]:
    """Scoring each probe on this scene's prompt, or on random tokens where it needs none."""
    return {
        name: scores_work(
            scene.card,
            name,
            scene.request if probe.measurement.needs_prompt else RepeatsRequest(seed=scene.seed),
            with_controls,
        )
        for name, probe in PROBES.items()
    }


def take_scores(scene: Scene) -> None:
    """Results of all probes that are there, those with nulls rather than those without."""
    plain, full = scores_of(scene, with_controls=False), scores_of(scene, with_controls=True)
    for name in PROBES:
        for work in (full[name], plain[name]):
            found = engine().cache.get(work.key)
            if name not in scene.results and found is not None:
                scene.results[name] = found


def add_scores(scene: Scene, with_controls: bool) -> bool:
    """Results that are not there yet, one job at a time; False while one is on its way."""
    for name, work in scores_of(scene, with_controls).items():
        found = scene.results.get(name)
        enough = found and (found.scores[0].controls or not with_controls)
        if enough or name in scene.refusals:
            continue
        if CANCELLED in scene.refusals.values():  # what comes after it was not wanted either
            scene.refusals[name] = CANCELLED
            continue
        answer = ask(work, "scores", PATIENCE / 2)
        if answer.pending:
            scene.pending.append(answer)
            return False
        if answer.problem:
            scene.refusals[name] = answer.problem
        else:
            scene.results[name] = answer.result
    return True
