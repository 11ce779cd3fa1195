"""One piece of work in the queue, and the tickets of those who wait for it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from interp.progress import Cancelled, Progress

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Work:
    """What to do. Works of equal keys are done once; `run` gets the engine and a Progress."""

    key: str
    label: str  # for people
    run: Callable[[Any, Progress], Any]
    bytes_needed: int = 0
    keep: bool = True  # cache the result; False where the act is what counts, not the result
    urgent: bool = False  # short work that may run between another job's forward passes
    # Short work that hangs no hook on any model may even run between the layers of a pass; asked of
    # the engine when its turn could come.
    aside: Callable[[Any], bool] | None = None


@dataclass(eq=False)
class Job:
    """A Work on its way; only the worker changes its state, only the engine its waiters."""

    work: Work
    state: State = "waiting"
    done: int = 0
    total: int = 0
    note: str = ""
    partial: Any = None  # what there is so far, for kinds of work that can show it
    result: Any = None
    error: str = ""
    waiters: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def end(self, state: State, *, result: Any = None, error: str = "") -> None:
        """Settle the job and wake whoever waits."""
        self.result, self.error, self.state = result, error, state
        self.over.set()


@dataclass(frozen=True, eq=False)
class Ticket:
    """One waiter's view of a job."""

    job: Job
    engine: Any

    @property
    def state(self) -> State:
        return self.job.state

    def wait(self, seconds: float | None = None) -> bool:
        """True once the job is over, waiting at most that long."""
        return self.job.over.wait(seconds)

    def fraction(self) -> float:
        """How far the step at hand is, 0 to 1."""
        return self.job.done / self.job.total if self.job.total else 0.0

    def words(self) -> str:
        """Where the job is, for people."""
        if self.job.state == "waiting":
            ahead = self.engine.ahead_of(self.job)
            return f"waiting, {ahead} ahead" if ahead else "starting"
        return self.job.note or self.job.work.label


@dataclass(frozen=True)
class JobProgress:
    """Progress that writes to a job, stops it when nobody waits, and lets urgent work pass."""

    job: Job
    let_urgent_pass: Callable[[], None]
    forget_the_gone: Callable[[], None]
    let_aside_pass: Callable[[], None]

    def step(self, done: int, total: int, note: str) -> None:
        self.job.done, self.job.total, self.job.note = done, total, note
        self.forget_the_gone()
        if not self.job.waiters:
            raise Cancelled
        self.let_aside_pass()

    def breathe(self) -> None:
        if not self.job.waiters:
            raise Cancelled
        self.let_urgent_pass()

    def show(self, partial: Any) -> None:
        self.job.partial = partial
