"""The queue: each key once, slots, cancelling, urgent work, limits, failures."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from interp.engine import engine as engine_module
from interp.engine.engine import QUEUE, Busy, Engine
from interp.engine.job import Ticket, Work
from interp.measurements import prompt
from interp.measurements.prompt import PromptRequest
from interp.progress import Cancelled
from interp.subject import Refused

Make = Callable[..., Any]
IDS = tuple(b"a prompt to read")


def done(ticket: Ticket) -> Any:
    """The result of a ticket, which must come soon."""
    assert ticket.wait(10.0), f"still {ticket.state}: {ticket.words()}"
    assert ticket.state == "done", ticket.job.error
    return ticket.job.result


def test_one_key_is_computed_once_for_ten(engine: Engine, busy: Any, steps: Make) -> None:
    one, tickets = steps("one", quick=True), []
    barrier = threading.Barrier(10)

    def ask(session: int) -> None:
        barrier.wait()
        tickets.append(engine.submit(one.work, f"session {session}", "slot"))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy.go.set()
    assert [done(ticket) for ticket in tickets] == ["result of one"] * 10
    assert one.runs == 1 and len({id(ticket.job) for ticket in tickets}) == 1
    assert done(engine.submit(one.work, "late", "slot")) == "result of one" and one.runs == 1


def test_a_newer_request_in_the_slot_replaces_the_older(
    engine: Engine, busy: Any, steps: Make
) -> None:
    old, new, aside = steps("old", quick=True), steps("new", quick=True), steps("aside", quick=True)
    first = engine.submit(old.work, "me", "map")
    other = engine.submit(aside.work, "me", "head")
    second = engine.submit(new.work, "me", "map")
    assert first.wait(0.0) and first.state == "cancelled" and second.state == "waiting"
    busy.go.set()
    assert done(second) == "result of new" and done(other) == "result of aside"
    assert old.runs == 0


def test_a_running_job_that_was_replaced_stops(engine: Engine, steps: Make) -> None:
    old, new = steps("old"), steps("new", quick=True)
    first = engine.submit(old.work, "me", "map")
    assert old.started.wait(5.0)
    second = engine.submit(new.work, "me", "map")
    assert done(second) == "result of new"
    assert first.wait(5.0) and first.state == "cancelled" and old.log == ["old", "new", "new done"]


def test_asking_again_for_the_same_is_no_second_waiter(engine: Engine, steps: Make) -> None:
    work = steps("polled")
    tickets = [engine.submit(work.work, "me", "map") for _ in range(5)]
    assert work.started.wait(5.0) and tickets[0].job.waiters == 1
    engine.cancel("me", "map")
    assert tickets[0].wait(5.0) and tickets[0].state == "cancelled"


def test_cancel_stops_at_the_next_layer(engine: Engine) -> None:
    seen: list[int] = []

    def run(engine: Engine, progress: Any) -> Any:
        subject = engine.shelf.get("tiny-softmax")

        def step(at: int, total: int, note: str) -> None:
            seen.append(at)
            if at == 2:
                engine.cancel("me", "map")
            progress.step(at, total, note)

        spy = SimpleNamespace(step=step, breathe=progress.breathe, show=progress.show)
        return prompt.read(subject, PromptRequest(ids=IDS), spy)

    ticket = engine.submit(Work("read", "Reading", run), "me", "map")
    assert ticket.wait(10.0) and ticket.state == "cancelled" and ticket.job.result is None
    assert seen == [0, 1, 2]
    modules = engine.shelf.peek("tiny-softmax").model.modules()
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules) == 0
    assert engine.cache.get("read") is None


def test_a_shared_job_outlives_one_leaver_but_not_the_last(engine: Engine, steps: Make) -> None:
    for leavers, state in ((1, "done"), (2, "cancelled")):
        work = steps(f"shared {leavers}")
        tickets = [engine.submit(work.work, session, "map") for session in ("a", "b")]
        assert work.started.wait(5.0)
        for session in ("a", "b")[:leavers]:
            engine.cancel(session, "map")
        time.sleep(0.03)
        work.go.set()
        assert all(ticket.wait(5.0) and ticket.state == state for ticket in tickets)


def test_cancelling_twice_or_nothing_is_harmless(engine: Engine, steps: Make) -> None:
    work = steps("kept")
    ticket = engine.submit(work.work, "stays", "map")
    engine.submit(work.work, "leaves", "map")
    for _ in range(3):
        engine.cancel("leaves", "map")
        engine.cancel("stranger", "map")
    assert work.started.wait(5.0) and ticket.job.waiters == 1
    work.go.set()
    assert done(ticket) == "result of kept"


def test_coming_back_before_it_stops_goes_on(engine: Engine, steps: Make) -> None:
    reached, resume, runs = threading.Event(), threading.Event(), []

    def run(engine: Engine, progress: Any) -> str:
        runs.append(1)
        reached.set()
        resume.wait(5.0)
        progress.step(1, 2, "after the return")
        return "whole"

    work = Work("back", "Back", run)
    engine.submit(work, "me", "map")
    assert reached.wait(5.0)
    engine.cancel("me", "map")
    ticket = engine.submit(work, "me", "map")
    resume.set()
    assert done(ticket) == "whole" and runs == [1]


def test_coming_back_while_it_stops_queues_it_again(engine: Engine) -> None:
    runs: list[int] = []

    def run(engine: Engine, progress: Any) -> str:
        runs.append(1)
        if len(runs) > 1:
            return "whole"
        engine.cancel("me", "map")
        try:
            progress.step(1, 2, "nobody waits now")
        except Cancelled:
            engine.submit(work, "me too", "map")
            raise
        return "not cancelled"

    work = Work("back", "Back", run)
    first = engine.submit(work, "me", "map")
    assert done(first) == "whole" and len(runs) == 2
    assert not engine.alive and not engine.waiting and not engine.slots


def test_urgent_work_passes_between_forward_passes_only(
    engine: Engine, steps: Make, log: list[str]
) -> None:
    long, slow = steps("long"), steps("slow", quick=True)
    urgent = steps("urgent", quick=True, urgent=True)
    engine.submit(long.work, "a", "map")
    assert long.started.wait(5.0)
    waiting = engine.submit(slow.work, "b", "map")
    ticket = engine.submit(urgent.work, "c", "head")
    time.sleep(0.05)  # long steps, but never breathes: a hook may be hanging
    assert log == ["long"] and ticket.state == "waiting" and ticket.words() == "waiting, 2 ahead"
    long.breathes = True
    assert done(ticket) == "result of urgent"
    assert log == ["long", "urgent", "urgent done"] and waiting.state == "waiting"
    long.go.set()
    assert done(waiting) == "result of slow"
    assert log[3:] == ["long done", "slow", "slow done"]


def test_work_that_hangs_no_hook_passes_in_the_middle_of_a_pass(
    engine: Engine, log: list[str]
) -> None:
    """Only while its engine says it can: here, once what it reads is in the cache."""
    started, go, asked = threading.Event(), threading.Event(), []

    def layers(engine: Engine, progress: Any) -> str:
        started.set()
        assert go.wait(5.0)
        for at in range(3):
            log.append(f"layer {at}")
            if at == 1:
                engine.cache.put("reading", "there")
            progress.step(at, 3, "reading")
        return "read"

    def ready(engine: Engine) -> bool:
        asked.append(engine.cache.get("reading"))
        return asked[-1] is not None

    def picture(engine: Engine, progress: Any) -> str:
        log.append("picture")
        progress.step(0, 1, "drawing")  # nothing runs inside this again
        return "picture"

    passing = engine.submit(Work("layers", "Reading", layers), "a", "map")
    assert started.wait(5.0)
    hooked = Work("hooked", "Hooked", lambda e, p: log.append("hooked") or "hooked", urgent=True)
    other = engine.submit(hooked, "c", "head")
    drawn = engine.submit(Work("picture", "Picture", picture, aside=ready), "b", "head")
    go.set()
    assert done(drawn) == "picture" and done(passing) == "read" and done(other) == "hooked"
    assert log == ["layer 0", "layer 1", "picture", "layer 2", "hooked"]
    assert asked == [None, "there"]


def test_urgent_work_goes_first_when_the_worker_is_free(
    engine: Engine, busy: Any, steps: Make, log: list[str]
) -> None:
    works = [steps("first", quick=True), steps("second", quick=True)]
    works.append(steps("urgent", quick=True, urgent=True))
    tickets = [engine.submit(w.work, w.key, "map") for w in works]
    busy.go.set()
    assert [done(ticket) for ticket in tickets]
    ran = [word for word in log if "done" not in word and word != "blocker"]
    assert ran == ["urgent", "first", "second"]


def test_the_queue_is_bounded(engine: Engine, busy: Any, steps: Make) -> None:
    works = [steps(f"w{i}", quick=True) for i in range(QUEUE + 1)]
    tickets = [engine.submit(w.work, w.key, "map") for w in works[:QUEUE]]
    with pytest.raises(Busy, match=f"{QUEUE} jobs are waiting already; try again"):
        engine.submit(works[QUEUE].work, "one more", "map")
    joined = engine.submit(works[0].work, "one more", "map")  # no new job: welcome
    busy.go.set()
    assert [done(ticket) for ticket in [*tickets, joined]]
    assert done(engine.submit(works[QUEUE].work, "one more", "map"))


def test_work_over_the_budget_is_refused_before_anything_runs(
    engine: Engine, steps: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADLAMP_MEMORY_BUDGET", "1")
    fits = steps("fits", quick=True, bytes_needed=2**20)
    over = steps("over", quick=True, bytes_needed=2**20 + 1)
    with pytest.raises(Refused, match="Work over needs 1 MiB and the memory budget is 1 MiB"):
        engine.submit(over.work, "me", "map")
    assert done(engine.submit(fits.work, "me", "map")) and over.runs == 0


def test_closed_browsers_are_dropped(
    engine: Engine, steps: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "GONE", 0.1)
    running, queued, mine = steps("running"), steps("queued", quick=True), steps("mine", quick=True)
    first = engine.submit(running.work, "closed", "map")
    assert running.started.wait(5.0)
    second = engine.submit(queued.work, "closed", "head")
    third = engine.submit(mine.work, "polling", "map")
    deadline = time.monotonic() + 5
    while not third.wait(0.02) and time.monotonic() < deadline:
        engine.submit(mine.work, "polling", "map")  # polling is asking again
    assert third.state == "done" and {first.state, second.state} == {"cancelled"}
    assert queued.runs == 0 and "closed" not in engine.seen


def test_progress_in_words_and_numbers(engine: Engine, busy: Any, steps: Make) -> None:
    a, b = steps("a"), steps("b", quick=True)
    one, two = engine.submit(a.work, "a", "map"), engine.submit(b.work, "b", "map")
    assert (one.words(), two.words()) == ("waiting, 1 ahead", "waiting, 2 ahead")
    assert one.fraction() == 0.0
    busy.go.set()
    assert a.started.wait(5.0)
    time.sleep(0.03)
    assert one.words() == "stepping" and 0 < one.fraction() < 1 and one.state == "running"
    assert two.words() == "waiting, 1 ahead"
    a.go.set()
    assert done(two)
