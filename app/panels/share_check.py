"""Before a link is made: every Result of the version computed again, one after the other."""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from app.engine_room import CANCELLED, PATIENCE, Answer, ask, problems
from interp.engine.job import Work
from interp.recompute import work_again
from interp.result import Result
from interp.subject import Refused

SLOT = "share"
UNCHECKED = "whoever shared it did not wait for that."


@dataclass
class Making:
    """A link on its way."""

    dashboard_id: str
    number: int  # of the version
    lifetime: str
    results: Mapping[str, Result]  # as they were kept
    found: dict[str, Result | str] = field(default_factory=dict)  # anew, or why it is not
    cancelled: bool = False
    # Part of every key: each link has its numbers computed for itself, not read from the cache.
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def work(self, frozen: Result) -> Work:
        """What computes a Result for this link; raises Refused where nothing can."""
        made = work_again(frozen)
        return replace(made, key=f"{made.key} for {self.name}")

    def advance(self) -> Answer | None:
        """Go on until something has to be waited for; None once all is done or was cancelled."""
        for key, frozen in self.results.items():
            if key in self.found or self.cancelled:
                continue
            try:
                answer = ask(self.work(frozen), f"{SLOT} {self.name}", PATIENCE)
            except ValueError as problem:
                self.found[key] = str(problem)
                continue
            if answer.pending:
                return answer
            if answer.problem == CANCELLED:
                self.cancelled = True
            else:
                self.found[key] = answer.problem or answer.result
        return None

    def again(self) -> None:
        """Go on after a cancel."""
        problems().clear()
        self.cancelled = False

    def leave(self) -> None:
        """Do without those that are missing."""
        self.found = dict.fromkeys(self.results, UNCHECKED) | self.found
        self.cancelled = False

    def recompute(self) -> Callable[[Result], Result]:
        """For the store: looks up what was computed; raises Refused with the reason where it was
        not.
        """
        told = {name_of(frozen): self.found[key] for key, frozen in self.results.items()}

        def look_up(frozen: Result) -> Result:
            found = told.get(name_of(frozen), "it is not one of those that were looked at.")
            if isinstance(found, str):
                raise Refused(found)
            return found

        return look_up


def name_of(result: Result) -> str:
    """Equal Results, equal names."""
    return hashlib.sha256(result.to_json().encode("utf-8")).hexdigest()
