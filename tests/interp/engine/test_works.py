"""Real works from twenty threads: each answer is, bit for bit, the one it gets alone."""

import dataclasses
import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from interp.adapters.own import Own
from interp.capture import capture
from interp.engine import works
from interp.engine.engine import Engine
from interp.engine.job import Work
from interp.engine.shelf import Shelf
from interp.measurements import prompt
from interp.measurements.prompt import PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.probes.ablation import run_ablation
from interp.progress import Silent
from interp.registry import PROBES, PROMPT, REPEATS
from interp.result import Result
from interp.subject import Card, Refused, pattern_name

PROMPTS = [
    tuple(b"one prompt to read"),
    tuple(b"another, longer prompt of text"),
    tuple(b"short one!"),
]
REPEAT = RepeatsRequest(length=8, sequences=2)
THREADS, REQUESTS = 20, 10
Answer = bytes | str


def clean_work(card: Card, request: PromptRequest) -> Work:
    """Logits of an unedited run."""

    def run(engine: Engine, progress: Any) -> np.ndarray:
        tokens = torch.tensor([request.ids])
        return engine.shelf.get(card.name).forward(tokens, {}).numpy()

    return Work(works.key_of(card, "clean", request), "Clean", run)


def answer(result: Any) -> Answer:
    """A result as something that is equal only bit for bit."""
    if isinstance(result, Result):
        return result.to_json()
    return (result if isinstance(result, np.ndarray) else result.pattern).tobytes()


def requests(card: Card) -> list[tuple[str, Callable[[Own], Answer], Work]]:
    """(name, how it is answered alone, the work)."""
    found = []
    for i, ids in enumerate(PROMPTS):
        request, tokens = PromptRequest(ids=ids), torch.tensor([ids])

        def plain(s: Own, tokens: torch.Tensor = tokens) -> Answer:
            return answer(s.forward(tokens, {}).numpy())

        found.append((f"clean {i}", plain, clean_work(card, request)))
        for layer, head in ((0, 1), (1, 3)):

            def ablated(s: Own, r: PromptRequest = request, at: tuple = (layer, head)) -> Answer:
                return answer(run_ablation(s, r, *at, Silent()))

            def matrix(s: Own, r: PromptRequest = request, at: tuple = (layer, head)) -> Answer:
                source = s.source(prompt.read(s, r, Silent()).kept, at[0])
                whole = slice(0, len(r.ids))
                return source.window(at[1], whole, whole)[0].numpy().tobytes()

            name = f"{i} L{layer}H{head}"
            found.append(
                (f"ablation {name}", ablated, works.ablation_work(card, request, layer, head))
            )
            found.append(
                (f"pattern {name}", matrix, works.pattern_work(card, request, layer, head))
            )
    asked = {PROMPT.name: PromptRequest(ids=PROMPTS[0]), REPEATS.name: REPEAT}
    for name, probe in PROBES.items():
        request = asked[probe.measurement.name]

        def scored(s: Own, probe: Any = probe, request: Any = request) -> Answer:
            return answer(probe.run(s, request, Silent()))

        found.append((name, scored, works.scores_work(card, name, request, with_controls=True)))
    return found


@pytest.mark.parametrize(("variant", "cache_bytes"), [("softmax", 512 * 2**20), ("delta", 0)])
def test_twenty_threads_each_get_their_solo_answer(
    own: Callable[..., Own], variant: str, cache_bytes: int
) -> None:
    alone, shared = own(variant), own(variant)
    asked = requests(alone.card)
    expected = {name: solo(alone) for name, solo, _ in asked}
    assert len(set(expected.values())) == len(expected)
    engine = Engine(lambda name, say: shared, cache_bytes=cache_bytes)
    got: list[tuple[str, Answer]] = []
    problems: list[BaseException] = []

    def ask(seed: int) -> None:
        try:
            for name, _, work in random.Random(seed).choices(asked, k=REQUESTS):
                ticket = engine.submit(work, f"session {seed}", "slot")
                assert ticket.wait(60.0) and ticket.state == "done", ticket.job.error
                got.append((name, answer(ticket.job.result)))
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and len(got) == THREADS * REQUESTS
    assert {name for name, _ in got} == set(expected)
    wrong = [name for name, found in got if found != expected[name]]
    assert wrong == []


def test_keys_name_everything_that_changes_a_result(own: Callable[..., Own]) -> None:
    card = own().card
    asked = [PromptRequest(ids=ids, seed=seed) for ids in PROMPTS for seed in (0, 1)]
    made = [works.reading_work(card, PROMPT, r) for r in asked]
    made += [works.controls_work(card, PROMPT, r) for r in asked]
    made += [works.scores_work(card, "sinks", r, c) for r in asked for c in (False, True)]
    made += [works.scores_work(card, "concentration", asked[0], True)]
    made += [works.pattern_work(card, asked[0], l, h) for l in (0, 1) for h in (0, 1)]
    made += [works.ablation_work(card, asked[0], l, h) for l in (0, 1) for h in (0, 1)]
    other = dataclasses.replace(card, weights_sha256="1" * 64)
    made += [works.reading_work(other, PROMPT, asked[0])]
    made += [works.load_work(name, name) for name in ("a", "b")]
    assert len({work.key for work in made}) == len(made)
    again = works.reading_work(own().card, PROMPT, PromptRequest(ids=PROMPTS[0]))
    assert again.key == made[0].key


def test_scores_before_their_nulls(own: Callable[..., Own]) -> None:
    """Without controls the values are the same, only the nulls are missing; nothing runs twice."""
    model = own()
    engine, request = Engine(lambda name, say: model), PromptRequest(ids=PROMPTS[1])
    tickets = [
        engine.submit(works.scores_work(model.card, "sinks", request, c), "me", f"slot {c}")
        for c in (False, True)
    ]
    assert all(ticket.wait(30.0) for ticket in tickets)
    soon, whole = (ticket.job.result for ticket in tickets)
    for a, b in zip(soon.scores, whole.scores, strict=True):
        assert np.array_equal(a.value, b.value) and a.controls == () and len(b.controls) == 3
    reading = engine.cache.get(works.reading_work(model.card, PROMPT, request).key)
    assert reading is not None and reading.request == request


def test_patterns_are_read_only_and_of_one_head(own: Callable[..., Own]) -> None:
    model = own()
    work = works.pattern_work(model.card, PromptRequest(ids=PROMPTS[0]), 1, 2)
    ticket = Engine(lambda name, say: model).submit(work, "me", "head")
    assert ticket.wait(30.0)
    found = ticket.job.result
    assert (found.layer, found.head) == (1, 2) and found.pattern.shape == (len(PROMPTS[0]),) * 2
    assert found.pattern.base is None and not found.pattern.flags.writeable
    np.testing.assert_allclose(
        found.pattern, applied(model, PROMPTS[0], 1, 2), rtol=1e-5, atol=1e-7
    )


def applied(model: Own, ids: tuple[int, ...], layer: int, head: int) -> np.ndarray:
    """The matrix as a hook on the pattern sees it."""
    name = pattern_name(layer)
    return capture(model, torch.tensor([ids]), [name]).activations[name][0, head].numpy()


@pytest.mark.parametrize("variant", ["softmax", "delta"])
def test_an_overview_and_windows_of_a_long_matrix(own: Callable[..., Own], variant: str) -> None:
    model, ids = own(variant, n_ctx=700), tuple(range(2, 252)) * 2 + tuple(range(100))
    engine, request = Engine(lambda name, say: model), PromptRequest(ids=ids, rows=40)
    whole = applied(model, ids, 1, 3)
    work = works.overview_work(model.card, request, 1, 3)
    ticket = engine.submit(work, "me", "overview")
    assert ticket.wait(60.0), "an overview takes seconds"
    found = ticket.job.result
    assert found.side == 2 and found.pattern.shape == (300, 300)
    for i, j in ((0, 0), (299, 1), (150, 149), (77, 30), (5, 9)):
        block = whole[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel()
        assert found.pattern[i, j] == pytest.approx(
            block[np.abs(block).argmax()], rel=1e-3, abs=1e-6
        )
    for rows, keys in (((590, 600), (0, 512)), ((17, 18), (3, 9)), ((0, 40), (30, 60))):
        work = works.window_work(model.card, request, 1, 3, rows, keys)
        ticket = engine.submit(work, "me", "window")
        assert ticket.wait(60.0)
        expected = whole[slice(*rows), slice(*keys)]
        np.testing.assert_allclose(ticket.job.result.pattern, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "keys"),
    [((0, 513), (0, 5)), ((5, 5), (0, 5)), ((7, 3), (0, 5)), ((0, 5), (-1, 5)), ((0, 5), (8, 99))],
)
def test_windows_that_are_none_are_refused(
    own: Callable[..., Own], rows: tuple, keys: tuple
) -> None:
    request = PromptRequest(ids=PROMPTS[0] * 30)
    with pytest.raises(Refused, match=r"A window spans 1 to 512 of the prompt's 5\d\d tokens"):
        works.window_work(own().card, request, 0, 0, rows, (keys[0], keys[1] * 100))


def test_a_long_matrix_is_not_shown_whole(own: Callable[..., Own]) -> None:
    with pytest.raises(Refused, match="L1H2 has 2,049 rows; past 2,048 it is shown as an overview"):
        works.pattern_work(own().card, PromptRequest(ids=(1,) * 2049), 1, 2)


def test_a_head_opens_in_the_middle_of_a_pass(own: Callable[..., Own]) -> None:
    """Submitted in layer 1 of a null's pass, its picture is there before layer 2."""
    model, request = own(n_layers=4), PromptRequest(ids=PROMPTS[1])
    engine = Engine(lambda name, say: model)
    work = works.pattern_work(model.card, request, 2, 1)
    assert not work.aside(engine)  # nothing is kept yet: it would need a pass of its own
    assert engine.submit(works.reading_work(model.card, PROMPT, request), "me", "a").wait(30.0)
    assert work.aside(engine)
    found: list[Any] = []

    def nulls(engine: Engine, progress: Any) -> Any:
        def step(at: int, total: int, note: str) -> None:
            ticket = engine.submit(work, "me", "head") if at == 2 and not found else None
            progress.step(at, total, note)
            if ticket:
                assert ticket.state == "done", "it must not wait for the end of the pass"
                found.append(ticket.job.result.pattern)

        watching = SimpleNamespace(step=step, breathe=lambda: None, show=progress.show)
        return prompt.controls(model, request, watching)

    whole = engine.submit(Work("nulls", "Nulls", nulls), "me", "nulls")
    assert whole.wait(30.0) and whole.state == "done", whole.job.error
    np.testing.assert_allclose(found[0], applied(model, PROMPTS[1], 2, 1), rtol=1e-5, atol=1e-7)
    alone = prompt.controls(model, request, Silent())
    np.testing.assert_array_equal(whole.job.result.shuffled.log, alone.shuffled.log)


def test_loading_is_work_too(own: Callable[..., Own]) -> None:
    model = own()
    engine = Engine(lambda name, say: model)
    assert engine.shelf.peek("tiny-softmax") is None
    ticket = engine.submit(works.load_work("tiny-softmax", "Tiny"), "me", "model")
    assert ticket.wait(30.0) and ticket.job.result is model
    assert engine.shelf.peek("tiny-softmax") is model


def test_the_shelf_holds_what_fits_and_reloads_the_same(own: Callable[..., Own]) -> None:
    loads: list[str] = []

    def load(name: str, say: object) -> Own:
        loads.append(name)
        return own(seed=int(name))

    one = 8 * own().card.n_parameters  # float32, and a twin
    shelf, tokens = Shelf(load, 2 * one), torch.tensor([PROMPTS[0]])
    first = {name: shelf.get(name).forward(tokens, {}) for name in "012"}
    assert list(shelf.subjects) == ["1", "2"] and shelf.weight() == 2 * one
    rng = random.Random(0)
    for _ in range(60):
        name = rng.choice("012")
        held = shelf.peek(name)
        assert torch.equal(shelf.get(name).forward(tokens, {}), first[name])
        assert held is None or shelf.peek(name) is held
        assert shelf.weight() <= 2 * one and list(shelf.subjects)[-1] == name
    assert 3 < len(loads) < 60


def test_a_model_larger_than_the_shelf_is_still_served(own: Callable[..., Own]) -> None:
    shelf = Shelf(lambda name, say: own(seed=int(name)), 1)
    assert shelf.get("0") is shelf.get("0")
    shelf.get("1")
    assert list(shelf.subjects) == ["1"]


def test_a_load_that_fails_leaves_the_shelf_as_it_was(own: Callable[..., Own]) -> None:
    def load(name: str, say: object) -> Own:
        if name == "broken":
            raise ValueError("no such model")
        return own()

    shelf = Shelf(load, 2**30)
    shelf.get("fine")
    with pytest.raises(ValueError, match="no such model"):
        shelf.get("broken")
    assert list(shelf.subjects) == ["fine"]
