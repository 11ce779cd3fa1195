"""Two people saved: both versions side by side in words, and three ways on; nothing is lost."""

import streamlit as st

from app.dashboard_choice import Choice, change, go
from app.panels.dashboard_changes import changes
from app.panels.dashboard_changes import name as named
from app.panels.dashboard_room import link, refused_with, titled, told, tried, when
from app.plain import plain
from app.store_room import actor, barred, store
from interp.store import Conflict, StoreError, Version

MOST = 40  # sentences about a version


def conflict(choice: Choice) -> None:
    """The page of a draft that lost; raises StoreError where either is gone."""
    theirs = store().dashboards.open(actor(), choice.id)
    yours = store().dashboards.open(actor(), choice.mine)
    origin = store().dashboards.get(actor(), choice.mine).origin
    base = None
    if origin and origin[0] == choice.id and origin[1] < theirs.number:
        base = store().dashboards.open(actor(), choice.id, origin[1])
    link("All dashboards", ":material/arrow_back:")
    with st.container(key="of-conflict-answer"):
        own = theirs.author == actor().account
        who = "In another window you" if own else plain(theirs.author)
        st.markdown(f"#### {who} saved version {theirs.number} before this was saved")
        st.markdown("Both versions are kept. Nothing is lost, whatever you choose.")
    ways(theirs, yours)
    left, right = st.columns(2, gap="medium")
    with left:
        side("Theirs", theirs, base, id=theirs.dashboard_id)
    with right:
        side("Yours", yours, base, id=yours.dashboard_id)


def side(whose: str, version: Version, base: Version | None, **address: str) -> None:
    """One of the two: what it changed, and all of its blocks by name."""
    with st.container(border=True, key=f"of-{whose.lower()}-notes"):
        st.markdown(f"**{whose}: {titled(version.title)}**")
        st.caption(plain(f"{version.author}, {when(version.created_at)}"))
        if base:
            said = changes(base.title, base.blocks, version.title, version.blocks)
            st.markdown(f"Since version {base.number}:")
            st.markdown("\n".join(f"- {plain(one)}" for one in said[:MOST]) or "Nothing.")
            if len(said) > MOST:
                st.caption(f"And {len(said) - MOST} changes more.")
        st.markdown("Its blocks:")
        lines = [f"{at}. {plain(named(one))}" for at, one in enumerate(version.blocks[:MOST], 1)]
        st.markdown("\n".join(lines) or "None.")
        link("Look at it", ":material/visibility:", **address)


def ways(theirs: Version, yours: Version) -> None:
    """Theirs, yours as the newest, or yours beside it."""
    reason = barred("edit", store().dashboards.get(actor(), theirs.dashboard_id).thing)
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Take theirs",
            key="conflict_theirs",
            help="Yours stays below the list of dashboards, until you delete it there.",
            on_click=take_theirs,
            args=(theirs,),
        )
        st.button(
            "Save mine as the newest",
            key="conflict_mine",
            disabled=bool(reason),
            help=plain(reason) or "Theirs stays in the history, where it can be restored.",
            on_click=save_mine,
            args=(theirs, yours),
        )
        st.button(
            "Keep mine as a fork",
            key="conflict_fork",
            help="A dashboard of your own beside theirs, private at first.",
            on_click=keep_mine,
            args=(yours,),
        )


def take_theirs(theirs: Version) -> None:
    """Theirs stays the newest; yours stays a draft."""
    go(id=theirs.dashboard_id)
    told("Theirs it is. Yours is still there, below the list of all dashboards.")


def save_mine(theirs: Version, yours: Version) -> None:
    """Yours becomes the version after theirs; if somebody saved again, both are shown again."""
    try:
        made = store().dashboards.save(
            actor(), theirs.dashboard_id, theirs.number, yours.title, yours.blocks
        )
    except Conflict as lost:
        store().dashboards.delete(actor(), yours.dashboard_id)  # the new draft is the same
        change(mine=lost.yours.dashboard_id)
        return
    except StoreError as refused:
        refused_with(refused)
        return
    tried(lambda: store().dashboards.delete(actor(), yours.dashboard_id))
    go(id=made.dashboard_id)
    told(f"Yours is version {made.number}; theirs is version {theirs.number}, in the history.")


def keep_mine(yours: Version) -> None:
    """Yours becomes a dashboard of its own."""
    if tried(lambda: store().dashboards.keep(actor(), yours.dashboard_id)):
        go(id=yours.dashboard_id)
        told("Yours is a dashboard of its own now.")
