"""A dashboard being edited: titles, texts, order. Nothing is kept until Save; Undo goes back."""

import streamlit as st

from app.dashboard_choice import Choice, change, go
from app.export.markdown import rendered
from app.export.parts import ALL, FIGURES
from app.panels.dashboard_drafts import DRAFTS, LONGEST, Draft, Numbered
from app.panels.dashboard_panel import STYLE
from app.panels.dashboard_room import link, refused_with, told, when
from app.plain import plain
from app.store_room import actor, barred, store
from interp.store import Conflict, Markdown, Panel, StoreError, Thing
from interp.store.blocks import MAX_BLOCKS
from interp.store.names import LONGEST as TITLE

ICONS = {"text": ":material/post_add:", "up": ":material/arrow_upward:",
         "down": ":material/arrow_downward:", "remove": ":material/delete:"}  # fmt: skip


def edit(choice: Choice) -> None:
    """The page while something is edited; raises StoreError where the dashboard is gone."""
    draft = DRAFTS.get(actor().account, choice.edit)
    if draft is None:
        link("All dashboards", ":material/arrow_back:")
        st.info(
            "These edits are not here any more: they were saved or discarded, or Headlamp was "
            "started anew."
        )
        if choice.id:
            link("Open the dashboard", id=choice.id)
        return
    st.html(STYLE)
    controls(choice, draft)
    overtaken(draft)
    st.session_state["edit_title"] = draft.title
    st.text_input(
        "Title of the dashboard",
        key="edit_title",
        max_chars=TITLE,
        on_change=lambda: renamed(choice.edit, st.session_state["edit_title"]),
    )
    for at, block in enumerate(draft.blocks):
        row(choice.edit, at, block, len(draft.blocks))
    st.button(
        "Add a text",
        key="edit_add",
        icon=ICONS["text"],
        disabled=len(draft.blocks) >= MAX_BLOCKS,
        on_click=put,
        args=(choice.edit, "written", len(draft.blocks)),
    )
    st.caption("Figures are added where they are: every figure of every page has a button for it.")


def controls(choice: Choice, draft: Draft) -> None:
    """Save, Undo, Discard."""
    thing = Thing("dashboard")
    if draft.dashboard_id:
        thing = store().dashboards.get(actor(), draft.dashboard_id).thing
    reason = barred("edit" if draft.dashboard_id else "create", thing)
    changed = bool(draft.before) or not draft.dashboard_id
    with st.container(horizontal=True, vertical_alignment="center", key="of-edit-notes"):
        st.button(
            "Save",
            key="edit_save",
            type="primary",
            icon=":material/save:",
            disabled=bool(reason) or not changed,
            help=plain(reason) or "As a new version; earlier ones stay.",
            on_click=save,
            args=(choice,),
        )
        st.button(
            "Undo",
            key="edit_undo",
            icon=":material/undo:",
            disabled=not draft.before,
            on_click=put,
            args=(choice.edit, "undone"),
        )
        st.button(
            "Discard" if draft.before else "Back",
            key="edit_discard",
            help="Nothing of these edits is kept." if draft.before else None,
            on_click=discard,
            args=(choice,),
        )
        of = f"version {draft.base}" if draft.base else "a new dashboard"
        state = "unsaved changes; this page's address keeps them" if draft.before else "no changes"
        st.caption(f"Editing {of}: {state}.", width="content")


def overtaken(draft: Draft) -> None:
    """Somebody saved meanwhile: said before Save is pressed."""
    if not draft.dashboard_id:
        return
    newest = store().dashboards.open(actor(), draft.dashboard_id)
    if newest.number != draft.base:
        with st.container(key="of-overtaken-notes"):
            st.info(
                plain(
                    f"{newest.author} saved version {newest.number} on {when(newest.created_at)}, "
                    "while you edit. Save shows you both versions; nothing is lost."
                )
            )


def row(name: str, at: int, numbered: Numbered, count: int) -> None:
    """One block: what can be changed of it, and its place."""
    number, block = numbered
    with st.container(border=True, key=f"of-block-{number}-notes"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            kind = "Text" if isinstance(block, Markdown) else "Panel"
            st.container(width="stretch").caption(f"{kind}, block {at + 1} of {count}")
            moves(name, at, number, count)
        if isinstance(block, Panel):
            panel(name, number, block)
        else:
            text(name, number, block)


def moves(name: str, at: int, number: int, count: int) -> None:
    """Buttons of a block."""
    offered = {
        "text": ("Text above", ("written", at), count >= MAX_BLOCKS),
        "up": ("Up", ("moved", number, -1), at == 0),
        "down": ("Down", ("moved", number, 1), at == count - 1),
        "remove": ("Remove", ("removed", number), False),
    }
    for key, (words, asked, off) in offered.items():
        st.button(
            words,
            key=f"block_{key}_{number}",
            icon=ICONS[key],
            type="tertiary",
            disabled=off,
            on_click=put,
            args=(name, *asked),
        )


def panel(name: str, number: int, block: Panel) -> None:
    """A panel's title; its numbers stay as they are."""
    key = f"edit_title_{number}"
    st.session_state[key] = block.title
    st.text_input(
        "Title of the panel",
        key=key,
        max_chars=TITLE,
        on_change=lambda: put(name, "worded", number, st.session_state[key]),
    )
    whole = {ALL: "all of its numbers", FIGURES: "its model-wide numbers"}
    what = whole.get(block.kind, f"the exhibit {block.kind}")
    st.caption(plain(f"From the page {block.page}: {what}, which stay as they are."))


def text(name: str, number: int, block: Markdown) -> None:
    """Markdown and what it becomes, side by side."""
    key = f"edit_text_{number}"
    st.session_state[key] = block.text
    left, right = st.columns(2)
    left.text_area(
        "Text (Markdown)",
        key=key,
        height=180,
        max_chars=LONGEST,
        help="Headings, lists, quotes, emphasis and code. Links are shown as text; images and "
        "HTML are not shown.",
        on_change=lambda: put(name, "worded", number, st.session_state[key]),
    )
    right.caption("As it will be read")
    right.html(f'<div class="headlamp-text">{rendered(block.text)}</div>')


def put(name: str, step: str, *given: object) -> None:
    """Take a step: a method of Draft, by its name. What is gone by now is left as it is."""
    draft = DRAFTS.get(actor().account, name)
    if draft is None:
        return
    try:
        DRAFTS.put(actor().account, name, getattr(draft, step)(*given))
    except KeyError:
        return


def renamed(name: str, title: str) -> None:
    """Another title was typed."""
    put(name, "step", title)


def discard(choice: Choice) -> None:
    """Discard was pressed."""
    DRAFTS.drop(actor().account, choice.edit)
    go(id=choice.id)


def save(choice: Choice) -> None:
    """Save was pressed. Where somebody was first the page turns to both versions."""
    draft = DRAFTS.get(actor().account, choice.edit)
    if draft is None:
        return
    try:
        made = store().dashboards.save(
            actor(), draft.dashboard_id or None, draft.base, draft.title, draft.saved()
        )
    except Conflict as lost:
        DRAFTS.drop(actor().account, choice.edit)  # the store has it now
        change(edit="", mine=lost.yours.dashboard_id)
        return
    except StoreError as refused:
        refused_with(refused)
        return
    DRAFTS.drop(actor().account, choice.edit)
    go(id=made.dashboard_id)
    told(f"Saved {made.title} as version {made.number}.")
