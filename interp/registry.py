"""PROBES: every question by name. A new one is a file in probes/ and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interp.measurements import prompt, repeats
from interp.probes.concentration import score_concentration
from interp.probes.duplicate_token import score_duplicate_token
from interp.probes.induction import score_induction
from interp.probes.previous_token import score_previous_token
from interp.probes.sinks import score_sinks
from interp.progress import Progress
from interp.result import Result
from interp.subject import Card, Subject


@dataclass(frozen=True)
class Measurement:
    """A set of forward passes that several probes read: the thing itself, then its controls."""

    name: str
    read: Callable[[Subject, Any, Progress], Any]
    controls: Callable[[Subject, Any, Progress], Any]
    needs_prompt: bool


PROMPT = Measurement("prompt", prompt.read, prompt.controls, needs_prompt=True)
REPEATS = Measurement("repeats", repeats.read, repeats.controls, needs_prompt=False)


@dataclass(frozen=True)
class Probe:
    """One question about heads: which measurement answers it, and how it is scored."""

    title: str
    question: str
    measurement: Measurement
    score: Callable[[Any, Any, Card], Result]  # (reading, controls or None, card)

    def run(self, subject: Subject, request: Any, progress: Progress) -> Result:
        """Measure, measure the controls, score. Raises Refused where the answer has no meaning."""
        reading = self.measurement.read(subject, request, progress)
        return self.score(
            reading, self.measurement.controls(subject, request, progress), subject.card
        )


PROBES: dict[str, Probe] = {
    "sinks": Probe("Sinks", "Which heads rest on the first tokens?", PROMPT, score_sinks),
    "concentration": Probe(
        "Concentration", "On how many keys does each head rest?", PROMPT, score_concentration
    ),
    "induction": Probe(
        "Induction", "Which heads find what followed last time?", REPEATS, score_induction
    ),
    "previous-token": Probe(
        "Previous token", "Which heads look one token back?", REPEATS, score_previous_token
    ),
    "duplicate-token": Probe(
        "Duplicate token",
        "Which heads look at the same token earlier?",
        REPEATS,
        score_duplicate_token,
    ),
}


def probe(name: str) -> Probe:
    """The probe of that name; raises ValueError with the names there are."""
    if name not in PROBES:
        raise ValueError(f"no probe {name!r}; choose one of {', '.join(PROBES)}")
    return PROBES[name]
