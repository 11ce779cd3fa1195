"""What the pieces of the Dashboards page share: Results that are kept, refusals, words."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import streamlit as st

from app.dashboard_choice import HERE, Choice
from app.engine_room import engine
from app.export.inert import inert
from app.export.words import visible
from app.plain import plain
from app.store_room import actor, store
from interp.result import Result
from interp.store import Panel, StoreError, Version

T = TypeVar("T")


def tried(act: Callable[[], T]) -> T | None:
    """Do it, or keep the sentence that says why not for `problem` to show."""
    try:
        return act()
    except StoreError as refused:
        refused_with(refused)
        return None


def refused_with(refused: StoreError) -> None:
    """Let `problem` say it in the next run."""
    st.session_state["dashboard_problem"] = str(refused)


def told(words: str) -> None:
    """Say in the next run that something was done."""
    st.session_state["dashboard_done"] = words


def problem() -> None:
    """What was refused or done last."""
    if words := st.session_state.pop("dashboard_done", ""):
        st.toast(plain(words), icon=":material/check:", duration="long")
    if words := st.session_state.pop("dashboard_problem", ""):
        st.error(plain(words))


def titled(title: str) -> str:
    """A title as markdown that shows its characters and does nothing."""
    return plain(visible(title))


def when(moment: datetime) -> str:
    """A time for people everywhere."""
    return f"{moment:%-d %b %Y, %H:%M} UTC"


def link(words: str, icon: str | None = None, **fields: object) -> None:
    """A link to another dashboard, version or list; `fields` are those of a Choice."""
    query = Choice(**fields).to_query()
    st.page_link(f"views/{HERE}.py", label=words, icon=icon, query_params=query)


def results_of(version: Version) -> tuple[dict[str, Result], dict[str, str]]:
    """Every Result a version names that can be read, and a sentence for each that cannot."""
    found: dict[str, Result] = {}
    broken: dict[str, str] = {}
    for block in version.blocks:
        for name in block.results if isinstance(block, Panel) else ():
            try:
                found[name] = result_of(version, name)
            except StoreError as refused:
                broken[name] = str(refused)
    return found, broken


def result_of(version: Version, name: str) -> Result:
    """A Result that a version names, as it was kept; read once and then held with the others.

    The version was opened by the actor, so they may see what it names. Raises StoreError.
    """
    key = f"kept result {name}"
    found = engine().cache.get(key)
    if found is None:
        data = store().dashboards.result(actor(), version.dashboard_id, version.number, name)
        found = Result.from_json(data.decode("utf-8"))
        engine().cache.put(key, found)
    return found


def harmless(name: str, result: Result) -> Result:
    """The same Result in words that no chart runs: it may have come in a file."""
    key = f"inert result {name}"
    found = engine().cache.get(key)
    if found is None:
        found = inert(result)
        engine().cache.put(key, found)
    return found
