"""The one engine of this process, and how a page asks it for work without ever waiting long."""

import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

import streamlit as st

from app import may
from app.plain import plain
from interp.catalog import load_listed
from interp.engine.engine import Busy, Engine
from interp.engine.job import Work
from interp.store import StoreError
from interp.subject import Refused

CANCELLED = "Cancelled. Press Run to start again."
PATIENCE = 0.25  # seconds a rerun waits for quick work before it shows a progress bar instead


@cache
def engine() -> Engine:
    """Made on first use, shared by all sessions."""
    return Engine(load_listed)


@dataclass(frozen=True)
class Answer:
    """What became of a request so far."""

    work: Work
    slot: str
    result: Any = None
    problem: str = ""  # a sentence for the reader
    pending: bool = False
    words: str = ""
    fraction: float = 0.0
    partial: Any = None  # what pending work has so far


def session() -> str:
    """A random name of this browser tab's session."""
    return st.session_state.setdefault("session_name", uuid.uuid4().hex)


def problems() -> dict[str, str]:
    """Sentences for work that failed or was cancelled in this session; Run clears them."""
    return st.session_state.setdefault("problems", {})


def ask(work: Work, slot: str, patience: float = 0.0) -> Answer:
    """Submit (again: equal work is shared and done work is cached) and look how far it is."""
    if work.key in problems():
        return Answer(work, slot, problem=problems()[work.key])
    try:
        may.run()
        ticket = engine().submit(work, session(), slot)
    except (Refused, Busy, StoreError) as problem:
        problems()[work.key] = str(problem)
        return Answer(work, slot, problem=str(problem))
    ticket.wait(patience)
    if ticket.state == "done":
        return Answer(work, slot, result=ticket.job.result)
    if ticket.state in ("failed", "cancelled"):
        engine().cancel(session(), slot)  # told: the next ask, after Run, tries again
        problems()[work.key] = ticket.job.error or CANCELLED
        return Answer(work, slot, problem=problems()[work.key])
    return Answer(
        work,
        slot,
        pending=True,
        words=ticket.words(),
        fraction=ticket.fraction(),
        partial=ticket.job.partial,
    )


def cancel(answers: list[Answer]) -> None:
    """Give up on pending work and remember it, so that a rerun does not start it again."""
    for answer in answers:
        engine().cancel(session(), answer.slot)
        problems()[answer.work.key] = CANCELLED


def again() -> None:
    """Run the whole page anew; a click that came meanwhile goes first.

    A rerun takes the place of what was asked for before it, even of another page by a click on the
    menu. Whenever something is drawn Streamlit looks for that: so an empty place is, out of sight.
    """
    st.sidebar.empty()
    st.rerun()


@st.fragment(run_every=0.4)
def watch(pending: list[Answer], key: str) -> None:
    """Progress of pending work, with Cancel; reruns the page when any is over. `key` names it.

    Also when there is more of it to show, which is at most as often as this runs.
    """
    now = [ask(answer.work, answer.slot) for answer in pending]
    row = st.container(horizontal=True, vertical_alignment="center")
    shown = [answer for answer in now if answer.pending] or pending
    first = next((a for a in shown if not a.words.startswith("waiting")), shown[0])
    more = f" · {len(shown) - 1} more to do" if len(shown) > 1 else ""
    words = f"{first.words[:1].upper()}{first.words[1:]}{more}"
    bar = row.container(width="stretch")
    bar.progress(min(1.0, first.fraction), text=plain(words))
    # A callback, because it comes before the rerun below, which a click must not get lost in.
    row.button("Cancel", key=f"cancel_{key}", on_click=cancel, args=(pending,))
    news = any(new.partial is not old.partial for new, old in zip(now, pending, strict=True))
    # Last, right after something was drawn, for the reason that `again` gives.
    if news or not all(answer.pending for answer in now):
        st.rerun()
