"""Do the numbers of a file still hold? Each Result is computed again and compared, when asked."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from app import may
from app.engine_room import CANCELLED, PATIENCE, ask, engine, problems, watch
from app.export.digests import Match, match
from app.plain import plain
from interp.engine.job import Work
from interp.recompute import work_again
from interp.result import Result
from interp.subject import Refused

SLOT = "check a file"


@dataclass(frozen=True)
class Told:
    """What became of one Result."""

    state: str  # "matches", "differs", "not checked"
    sentence: str


def check(name: str, results: Mapping[str, Result]) -> tuple[dict[str, Told], int]:
    """A verdict on every Result so far, and how many are being computed.

    `name` is the file's. One Result is computed after the other, and none before somebody asks.
    """
    reason = may.reason(may.run)
    asked = not reason and st.session_state.get("dashboard_checked") == name
    place = st.container(key="of-check-notes")
    said: dict[str, Told] = {}
    stopped = False
    for key, result in results.items() if asked else ():
        told, work = (Told("not checked", CANCELLED), None) if stopped else one(key, result)
        if told is None:
            with place:
                st.caption(f"{len(said)} of {len(results)} results are computed again so far.")
                watch([ask(work, SLOT)], "check")
            return said, 1
        said[key] = told
        stopped = told.sentence == CANCELLED
    with place:
        if asked:
            summary(said)
        if not asked or stopped:
            st.button(
                "Compute its numbers again",
                key="file_check",
                disabled=bool(reason),
                help=plain(reason)
                or "On this machine, with today's models and code, in the background; it can be "
                "cancelled. Then every panel says whether its numbers still hold.",
                on_click=pressed,
                args=(name,),
            )
    return said, 0


def pressed(name: str) -> None:
    """Compute was pressed."""
    problems().clear()
    st.session_state["dashboard_checked"] = name


def one(key: str, result: Result) -> tuple[Told | None, Work | None]:
    """A verdict, or the work that has to be waited for."""
    try:
        work = work_again(result)
    except (Refused, ValueError) as problem:
        return Told("not checked", str(problem)), None
    answer = ask(work, SLOT, PATIENCE)
    if answer.pending:
        return None, work
    if answer.problem:
        return Told("not checked", answer.problem), None
    found = compared(key, work, result, answer.result)
    return Told("matches" if found.same else "differs", found.sentence), None


def compared(key: str, work: Work, saved: Result, fresh: Result) -> Match:
    """Whether the two agree; a page asks at every rerun."""
    name = f"match {key} {work.key}"
    found = engine().cache.get(name)
    if found is None:
        found = match(saved, fresh)
        engine().cache.put(name, found)
    return found


def summary(said: Mapping[str, Told]) -> None:
    """All verdicts in a sentence."""
    counts = {
        state: sum(told.state == state for told in said.values())
        for state in ("matches", "differs", "not checked")
    }
    words = (
        f"Of {len(said)} results {counts['matches']} match what this machine computes, "
        f"{counts['differs']} differ, {counts['not checked']} could not be computed again."
    )
    if counts["differs"]:
        st.warning(plain(words))
    elif counts["not checked"]:
        st.info(plain(words))
    else:
        st.success(plain(words))
