"""Text to tokens for the page: done once, and in the engine where it takes longer than a rerun."""

import hashlib
from typing import Any

from app.engine_room import PATIENCE, Answer, ask, engine
from interp.engine.job import Work
from interp.subject import Subject, Tokens

AT_ONCE = 64 * 1024  # characters that take about 0.1 s; the page waits for no more


def encoded(
    subject: Subject, text: str, special: bool, slot: str
) -> tuple[Tokens | None, Answer | None]:
    """The tokens of a checked text, or the answer that says why they are not there (yet)."""
    work = encode_work(subject, text, special)
    found = engine().cache.get(work.key)
    if found is None and len(text) <= AT_ONCE:
        found = subject.encode(text, special)
        engine().cache.put(work.key, found)
    if found is not None:
        return found, None
    answer = ask(work, slot, PATIENCE)
    return answer.result, None if answer.result else answer


def encode_work(subject: Subject, text: str, special: bool) -> Work:
    """Encoding as a piece of work."""
    card = subject.card
    digest = hashlib.sha256(text.encode()).hexdigest()

    def run(engine: Any, progress: Any) -> Tokens:
        return engine.shelf.get(card.name).encode(text, special)

    return Work(
        f"tokens of {digest} for {card.digest}, special {special}",
        "Counting tokens",
        run,
        urgent=True,
        aside=lambda engine: True,  # a tokenizer hangs no hook
    )
