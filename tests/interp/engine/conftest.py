"""An engine with tiny models on its shelf, and works that wait to be told to go on."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from interp.adapters.own import Own
from interp.engine.engine import Engine
from interp.engine.job import Work


class Steps:
    """A work that steps until it is released; counts its runs and writes to a shared log."""

    def __init__(self, key: str, log: list[str], **fields: Any) -> None:
        self.key, self.log = key, log
        self.started, self.go = threading.Event(), threading.Event()
        self.runs, self.breathes = 0, False
        self.work = Work(key, f"Work {key}", self.run, **fields)

    def run(self, engine: Any, progress: Any) -> str:
        self.runs += 1
        self.log.append(self.key)
        self.started.set()
        for i in range(4000):
            progress.step(i, 4000, "stepping")
            if self.breathes:
                progress.breathe()
            if self.go.wait(0.002):
                self.log.append(f"{self.key} done")
                return f"result of {self.key}"
        raise AssertionError("nobody released this work")


@pytest.fixture
def log() -> list[str]:
    """What ran, in order."""
    return []


@pytest.fixture
def steps(log: list[str]) -> Callable[..., Steps]:
    """Make a work that waits; `quick` ones are released from the start."""

    def make(key: str, quick: bool = False, **fields: Any) -> Steps:
        made = Steps(key, log, **fields)
        if quick:
            made.go.set()
        return made

    return make


@pytest.fixture
def engine(own: Callable[..., Own]) -> Engine:
    """An engine that knows one tiny model of six layers by the name of its card."""
    model = own(n_layers=6)
    return Engine(lambda name, say: {model.card.name: model}[name])


@pytest.fixture
def busy(engine: Engine, steps: Callable[..., Steps]) -> Steps:
    """A work that occupies the worker until it is released."""
    blocker = steps("blocker")
    engine.submit(blocker.work, "other session", "slot")
    assert blocker.started.wait(5.0)
    return blocker
