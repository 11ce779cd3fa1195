"""The engine: submit work from any thread, one worker does it, everyone sees how far it is.

Hooks are global state on a module: two threads sharing a model silently get each other's edits.
So nothing outside the worker ever runs a model.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from interp.catalog import Say
from interp.engine.cache import ByteCache
from interp.engine.cost import in_words, memory_budget
from interp.engine.job import Job, JobProgress, Ticket, Work
from interp.engine.shelf import Shelf
from interp.progress import Cancelled, Progress
from interp.subject import Refused, Subject

QUEUE = 32  # jobs waiting; one more is told to come back
GONE = 20.0  # seconds without a word after which a browser is taken to be closed
CANCELLED = "cancelled"
NO_MEMORY = "can't allocate memory"
log = logging.getLogger("headlamp.engine")


class Busy(RuntimeError):
    """The queue is full."""


class Engine:
    """One per device and process."""

    def __init__(
        self,
        load: Callable[[str, Say], Subject],
        *,
        cache_bytes: int = 512 * 2**20,
        shelf_bytes: int = 4 * 2**30,
    ) -> None:
        self.cache, self.shelf = ByteCache(cache_bytes), Shelf(load, shelf_bytes)
        self.waiting: list[Job] = []
        self.alive: dict[str, Job] = {}  # by key, waiting or running
        self.slots: dict[tuple[str, str], Job] = {}  # what each session waits for, per slot
        self.seen: dict[str, float] = {}  # when each session last asked for anything
        self.change = threading.Condition(threading.RLock())
        self.worker = threading.Thread(
            target=self.work_forever, name="headlamp-worker", daemon=True
        )
        self.worker.start()

    def submit(self, work: Work, session: str, slot: str) -> Ticket:
        """Ask for work; a session's earlier request in the same slot is dropped.

        A failed job's ticket is handed out once more; asking again after that tries again.
        Raises Refused for work over the memory budget and Busy when the queue is full, both before
        anything is allocated.
        """
        budget = memory_budget()
        if work.bytes_needed > budget:
            raise Refused(
                f"{work.label} needs {in_words(work.bytes_needed)} and the memory budget is "
                f"{in_words(budget)}; shorten the prompt or raise HEADLAMP_MEMORY_BUDGET (MiB)."
            )
        cached = self.cache.get(work.key)
        with self.change:
            earlier = self.slots.get((session, slot))
            if earlier and earlier.work.key != work.key:
                self.step_back(self.slots.pop((session, slot)))
            elif earlier and earlier.over.is_set():
                # Told once, to whoever asked: without this a page that polls would start it anew.
                return Ticket(self.slots.pop((session, slot)), self)
            job = self.alive.get(work.key)
            if cached is not None:
                job = Job(work)
                job.end("done", result=cached)
            elif job is None:
                if len(self.waiting) >= QUEUE:
                    raise Busy(f"{QUEUE} jobs are waiting already; try again in a moment.")
                job = Job(work)
                self.alive[work.key] = job
                self.waiting.append(job)
            self.take_slot(job, session, slot)
            self.change.notify_all()
        return Ticket(job, self)

    def take_slot(self, job: Job, session: str, slot: str) -> None:
        """Count the session in for this job."""
        self.seen[session] = time.monotonic()
        if self.slots.get((session, slot)) is job:
            return
        if job.state == "done":
            self.slots.pop((session, slot), None)
        else:
            job.waiters += 1
            self.slots[session, slot] = job

    def cancel(self, session: str, slot: str) -> None:
        """A session no longer wants what it asked for in a slot."""
        with self.change:
            job = self.slots.pop((session, slot), None)
            if job is not None:
                self.step_back(job)

    def forget_the_gone(self) -> None:
        """Drop requests of browsers that were closed: nobody polls for them any more."""
        now = time.monotonic()
        with self.change:
            for key in [key for key in self.slots if now - self.seen.get(key[0], now) > GONE]:
                self.step_back(self.slots.pop(key))
            waiting = {session for session, _ in self.slots}
            self.seen = {s: t for s, t in self.seen.items() if s in waiting or now - t < GONE}

    def step_back(self, job: Job) -> None:
        """Take a waiter off; a job that nobody waits for leaves the queue, or stops at a step."""
        job.waiters = max(0, job.waiters - 1)
        if not job.waiters and job in self.waiting:
            self.waiting.remove(job)
            self.alive.pop(job.work.key, None)
            job.end("cancelled")

    def ahead_of(self, job: Job) -> int:
        """Jobs that will be done before this one, the running one included."""
        with self.change:
            if job not in self.waiting:
                return 0
            running = len(self.alive) - len(self.waiting)
            return running + self.waiting.index(job)

    def compute(self, work: Work, progress: Progress) -> Any:
        """A result that other work needs, cached or done on the spot; from the worker only."""
        found = self.cache.get(work.key)
        if found is None:
            found = work.run(self, progress)
            if work.keep:
                self.cache.put(work.key, found)
        return found

    def work_forever(self) -> None:
        """The worker's life."""
        while True:
            with self.change:
                while not self.waiting:
                    self.change.wait()
                job = self.take(lambda job: job.work.urgent) or self.take(lambda job: True)
            self.do(job)

    def take(self, wanted: Callable[[Job], bool]) -> Job | None:
        """The first waiting job of that kind, now running; None where there is none."""
        with self.change:
            job = next(filter(wanted, self.waiting), None)
            if job is not None:
                self.waiting.remove(job)
                job.state = "running"
            return job

    def let_urgent_pass(self) -> None:
        """Do all short work that waits; called by a long job between forward passes."""
        while (job := self.take(lambda job: job.work.urgent)) is not None:
            self.do(job)

    def let_aside_pass(self) -> None:
        """Do short work that hangs no hook; called by a long job in the middle of a pass."""
        while job := self.take(lambda job: bool(job.work.aside and job.work.aside(self))):
            self.do(job)

    def do(self, job: Job) -> None:
        """Run one job to its end, whatever that is."""
        result, error = self.attempt(job)
        with self.change:
            if error == CANCELLED and job.waiters:  # someone came back while it was stopping
                job.state = "waiting"
                self.waiting.insert(0, job)
                return
            self.alive.pop(job.work.key, None)
            if not error and job.work.keep:  # what is not in the cache waits until it is told
                self.slots = {k: v for k, v in self.slots.items() if v is not job}
            if error == CANCELLED:
                job.end("cancelled")
            elif error:
                job.end("failed", error=error)
            else:
                job.end("done", result=result)

    def attempt(self, job: Job) -> tuple[Any, str]:
        """(result, "") or (None, what went wrong in one sentence)."""
        short = job.work.urgent  # no short work runs inside short work
        passes = (lambda: None,) * 2 if short else (self.let_urgent_pass, self.let_aside_pass)
        try:
            self.forget_the_gone()
            return self.compute(
                job.work, JobProgress(job, passes[0], self.forget_the_gone, passes[1])
            ), ""
        except Cancelled:
            return None, CANCELLED
        except (Refused, ValueError) as problem:
            return None, str(problem)
        except (torch.OutOfMemoryError, MemoryError):
            pass  # made room for below: while the exception lives it holds the tensors
        except Exception as problem:
            if NO_MEMORY in str(problem):  # torch's CPU allocator raises a plain RuntimeError
                return None, self.make_room(job)
            log.exception("job failed: %s", job.work.label)
            return None, f"{job.work.label} failed inside Headlamp; the server's log says why."
        return None, self.make_room(job)

    def make_room(self, job: Job) -> str:
        """After running out of memory: drop every cached result, and say what to do."""
        self.cache = ByteCache(self.cache.budget)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return f"{job.work.label} ran out of memory; shorten the prompt or choose a smaller model."
