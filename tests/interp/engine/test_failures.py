"""Failing work: what the page is told, what the log keeps, and that the worker lives on."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from interp.engine.engine import Engine
from interp.engine.job import Ticket, Work
from interp.subject import Refused

Make = Callable[..., Any]


def done(ticket: Ticket) -> Any:
    """The result of a ticket, which must come soon."""
    assert ticket.wait(10.0), f"still {ticket.state}: {ticket.words()}"
    assert ticket.state == "done", ticket.job.error
    return ticket.job.result


def raising(key: str, problem: BaseException) -> Work:
    """A work that fails."""

    def run(engine: Engine, progress: Any) -> None:
        raise problem

    return Work(key, f"Work {key}", run)


def test_every_kind_of_failure_leaves_the_worker_alive(
    engine: Engine, steps: Make, caplog: pytest.LogCaptureFixture
) -> None:
    worker = engine.worker
    engine.cache.put("held", torch.zeros(1000))
    problems = {
        Refused("No such head here."): "No such head here.",
        ValueError("Prompt is odd."): "Prompt is odd.",
        RuntimeError("/secret/path"): "failed inside Headlamp; the server's log says why.",
        KeyError("secret"): "failed inside Headlamp",
    }
    for i, (problem, sentence) in enumerate(problems.items()):
        with caplog.at_level(logging.ERROR, "headlamp.engine"):
            ticket = engine.submit(raising(f"bad {i}", problem), "me", "map")
            assert ticket.wait(5.0) and ticket.state == "failed"
        assert sentence in ticket.job.error and "secret" not in ticket.job.error
        assert engine.cache.get(f"bad {i}") is None and ticket.job.result is None
    assert "/secret/path" in caplog.text  # the log has what the page has not
    assert engine.cache.get("held") is not None
    for i, problem in enumerate((torch.OutOfMemoryError("CUDA"), MemoryError())):
        engine.cache.put("held", torch.zeros(1000))
        ticket = engine.submit(raising(f"full {i}", problem), "me", "map")
        assert ticket.wait(5.0) and "ran out of memory; shorten the prompt" in ticket.job.error
        assert engine.cache.get("held") is None and engine.cache.used == 0
        assert done(engine.submit(steps(f"next {i}", quick=True).work, "me", "map"))
    assert engine.worker is worker and worker.is_alive()
    assert not engine.alive and not engine.waiting and not engine.slots


def test_a_failing_urgent_job_does_not_hurt_the_one_it_interrupts(
    engine: Engine, steps: Make
) -> None:
    long = steps("long")
    long.breathes = True
    ticket = engine.submit(long.work, "a", "map")
    assert long.started.wait(5.0)
    bad = raising("bad", RuntimeError("x"))
    failed = engine.submit(Work(bad.key, bad.label, bad.run, urgent=True), "b", "head")
    assert failed.wait(5.0) and failed.state == "failed"
    long.go.set()
    assert done(ticket) == "result of long"


def test_each_session_is_told_once_and_then_it_is_tried_again(engine: Engine) -> None:
    """A page polls by asking again: it must learn of the failure, not start the work anew."""
    runs: list[int] = []

    def run(engine: Engine, progress: Any) -> str:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("Not yet.")
        return "now"

    work = Work("again", "Again", run)
    first = engine.submit(work, "me", "map")
    assert first.wait(5.0) and first.state == "failed"
    told = engine.submit(work, "me", "map")
    assert told.job is first.job and told.job.error == "Not yet." and runs == [1]
    assert done(engine.submit(work, "me", "map")) == "now" and len(runs) == 2


def test_a_failure_in_one_slot_does_not_keep_another_from_trying(engine: Engine) -> None:
    runs: list[int] = []

    def run(engine: Engine, progress: Any) -> str:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("Not yet.")
        return "now"

    work = Work("again", "Again", run)
    assert engine.submit(work, "me", "map").wait(5.0)
    assert done(engine.submit(work, "someone else", "map")) == "now"
    assert len(runs) == 2
