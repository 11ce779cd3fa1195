"""Sets page: which set and version is looked at; rename, delete and restore."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
import streamlit as st

from app import sets_choice as state
from app.panels.wide_table import wide_table
from app.plain import plain
from app.sets_choice import Choice
from app.store_room import actor, barred, store
from interp.labels import told_apart
from interp.set_runs.head import SHOWN
from interp.sets.rows import PromptRow
from interp.sets.saved import from_bytes
from interp.sets.words import visible_words
from interp.store import PromptSet, SetVersion, StoreError

AT_ONCE = 20  # deleted sets that are listed


@dataclass(frozen=True)
class Shelf:
    """The sets there are, and the one that is looked at."""

    sets: Sequence[PromptSet] = ()
    one: PromptSet | None = None
    version: SetVersion | None = None
    rows: tuple[PromptRow, ...] = ()
    problem: str = ""


def shelf(choice: Choice) -> Shelf:
    """What the link names; the newest set where it names none."""
    sets: Sequence[PromptSet] = ()
    try:
        sets = store().sets.list(actor())
        if not sets and not choice.set_id:
            return Shelf()
        one = store().sets.get(actor(), choice.set_id) if choice.set_id else sets[0]
        version = store().sets.version(actor(), one.id, choice.version)
        rows = rows_of(one.id, version.number, version.sha256)
    except (StoreError, ValueError) as problem:
        return Shelf(sets, problem=str(problem))
    return Shelf(sets, one, version, rows)


@lru_cache(maxsize=4)  # a page asks for the same ones at every rerun
def rows_of(set_id: str, number: int, sha256: str) -> tuple[PromptRow, ...]:
    """A version's rows; raises StoreError or ValueError where they cannot be read."""
    return from_bytes(store().sets.read(actor(), set_id, number))


def controls(found: Shelf) -> None:
    """Set and version, in the sidebar."""
    if not found.sets:
        return
    by_id = {one.id: one for one in found.sets}
    if found.one:
        by_id.setdefault(found.one.id, found.one)
        st.session_state["sets_set"] = found.one.id
    st.selectbox(
        "Set",
        list(by_id),
        key="sets_set",
        format_func=told_apart({one.id: visible_words(one.name) for one in by_id.values()}).get,
        on_change=lambda: state.change(set_id=st.session_state["sets_set"], version=None),
    )
    if found.one and found.version and found.one.latest > 1:
        st.session_state["sets_version"] = found.version.number
        st.selectbox(
            "Version",
            list(range(found.one.latest, 0, -1)),
            key="sets_version",
            on_change=lambda: state.change(version=st.session_state["sets_version"]),
        )


def contents(found: Shelf) -> None:
    """The set at a glance, and what can be done with it."""
    meta = found.version.meta
    bad = meta.get("n_errors", 0)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.container(key="of-sets-about-notes", width="stretch").caption(
            plain(
                f"{found.one.name}, version {found.version.number} of {found.one.latest}: "
                f"{len(found.rows):,} prompts"
                + (f", {bad:,} rows of the file were not read" if bad else "")
                + f". From {meta.get('file', 'a file')}, {meta.get('encoding', '')}."
            )
        )
        manage(found)
    if problem := st.session_state.pop("sets_problem", ""):
        st.error(plain(problem))
    with st.expander("The first prompts"):
        shown = [
            {
                "row": f"{row.row:,}",
                "prompt": plain(visible_words(row.text, SHOWN)),
                "label": plain(visible_words(row.label)),
                "id": plain(visible_words(row.name)),
            }
            for row in found.rows[:8]
        ]
        wide_table(pd.DataFrame(shown).set_index("row"), "set-rows")


def manage(found: Shelf) -> None:
    """Rename, delete, restore."""
    edit, drop = barred("edit", found.one.thing), barred("delete", found.one.thing)
    with st.popover("Rename or delete", type="tertiary", icon=":material/edit:"):
        st.session_state.setdefault(f"rename_{found.one.id}", found.one.name)
        st.text_input("Name", key=f"rename_{found.one.id}", max_chars=200, disabled=bool(edit))
        st.button(
            "Rename",
            on_click=rename,
            args=(found.one.id,),
            disabled=bool(edit),
            help=plain(edit) or None,
        )
        st.divider()
        st.caption("Deleting hides all versions; a deleted set can be restored below.")
        st.button(
            "Delete this set",
            on_click=delete,
            args=(found.one.id,),
            disabled=bool(drop),
            help=plain(drop) or None,
        )


def deleted() -> None:
    """Sets that were deleted, each with a way back."""
    try:
        gone = store().sets.list(actor(), deleted=True)
    except StoreError:
        return
    gone = [one for one in gone if one.deleted_at is not None]
    if not gone:
        return
    with st.expander(f"Deleted sets ({len(gone):,})", key="of-gone-sets-notes"):
        for one in gone[:AT_ONCE]:
            reason = barred("restore", one.thing)
            st.button(
                f"Restore {plain(visible_words(one.name))}",
                key=f"restore_{one.id}",
                disabled=bool(reason),
                help=plain(reason) or None,
                on_click=restore,
                args=(one.id,),
            )
        if len(gone) > AT_ONCE:
            st.caption(f"{AT_ONCE} of {len(gone):,}; the others follow as these are restored.")


def rename(set_id: str) -> None:
    """Rename was pressed."""
    tried(lambda: store().sets.rename(actor(), set_id, st.session_state[f"rename_{set_id}"]))


def delete(set_id: str) -> None:
    """Delete was pressed: the page turns to the newest set that is left."""
    if tried(lambda: store().sets.delete(actor(), set_id)):
        state.change(set_id="", version=None)


def restore(set_id: str) -> None:
    """Restore was pressed."""
    if tried(lambda: store().sets.restore(actor(), set_id)):
        state.change(set_id=set_id, version=None)


def tried(act: object) -> bool:
    """Do it, or keep the sentence that says why not."""
    try:
        act()
    except StoreError as problem:
        st.session_state["sets_problem"] = str(problem)
        return False
    return True
