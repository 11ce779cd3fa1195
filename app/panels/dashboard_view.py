"""A dashboard to read: its title, what can be done with it, its blocks as they were kept."""

from collections.abc import Callable

import streamlit as st

from app.dashboard_choice import Choice, go
from app.panels import dashboard_panel
from app.panels.dashboard_drafts import DRAFTS, begin
from app.panels.dashboard_files import exports
from app.panels.dashboard_panel import Shown
from app.panels.dashboard_room import link, results_of, titled, told, tried, when
from app.panels.share_links import share_panel
from app.plain import plain
from app.store_room import actor, barred, store
from interp.store import Dashboard, Panel, Thing, Version

WHO = {
    "private": "Only its owner (and an administrator)",
    "team": "The team: viewers read it, editors change it",
    "link": "Whoever may come in and has its address; it stands in nobody's list",
}
SHARE = 560  # pixels
NEWEST = 30  # versions of a history that are listed at once


def view(choice: Choice) -> int:
    """The page of one dashboard; returns how much is being computed for it.

    Raises StoreError where it cannot be opened.
    """
    one = store().dashboards.get(actor(), choice.id)
    version = store().dashboards.open(actor(), choice.id, choice.version)
    history = store().dashboards.history(actor(), choice.id)
    link("All dashboards", ":material/arrow_back:")
    head(one, version)
    pending = 0
    if one.draft:
        lost(one)
    elif version.number == one.latest:
        pending = buttons(one, version, history)
        unsaved(one)
    else:
        pending = old(one, version, history)
    results, broken = results_of(version)
    if not one.draft:
        with st.container(horizontal=True, gap="small"):
            exports(version, results, broken)
    shown = Shown(version.title, version.blocks, results, broken, kept_since(history))
    dashboard_panel.draw(shown)
    return pending


def share(one: Dashboard, version: Version) -> int:
    """Links to snapshots of this version; returns how much is being computed for one."""
    with st.popover("Share", icon=":material/link:"), st.container(width=SHARE):
        return share_panel(one, version)


def head(one: Dashboard, version: Version) -> None:
    """Title, and which version it is, by whom, of when."""
    with st.container(key="of-dashboard-answer", gap="xsmall"):
        st.markdown(f"## {titled(version.title)}")
        note = f" ({version.note})" if version.note else ""
        st.caption(
            plain(
                f"Version {version.number} of {one.latest}{note}, saved by {version.author} on "
                f"{when(version.created_at)}. {one.visibility.capitalize()}. Numbers are frozen: "
                "they are those that were measured when their panel was added."
            )
        )


def buttons(one: Dashboard, version: Version, history: tuple[Version, ...]) -> int:
    """What can be done with the newest version; returns how much is being computed."""
    reason = barred("edit", one.thing)
    with st.container(horizontal=True, gap="small", key="dashboard-buttons"):
        st.button(
            "Edit",
            key="dashboard_edit",
            type="primary",
            icon=":material/edit:",
            disabled=bool(reason),
            help=plain(reason) or None,
            on_click=edit,
            args=(version,),
        )
        with st.popover(f"History ({one.latest})", icon=":material/history:"):
            past(one, history)
        pending = share(one, version)
        with st.popover("Who sees it", icon=":material/group:"):
            visibility(one)
        with st.popover("More", icon=":material/more_horiz:"):
            fork_button(version)
            delete_button(one)
    return pending


def edit(version: Version) -> None:
    """Edit was pressed: the link gets the name of the edits."""
    go(id=version.dashboard_id, edit=DRAFTS.begin(actor().account, begin(version)))


def unsaved(one: Dashboard) -> None:
    """Edits of this dashboard that were left lying."""
    for name, draft in DRAFTS.of(actor().account, one.id)[:1]:
        with st.container(horizontal=True, vertical_alignment="center", key="of-unsaved-notes"):
            st.caption(
                plain(f"You have unsaved edits of {when(draft.touched)}, based on version "
                      f"{draft.base}."),
                width="content",
            )  # fmt: skip
            st.button("Go on", key="dashboard_go_on", on_click=go,
                      kwargs={"id": one.id, "edit": name})  # fmt: skip
            st.button("Discard them", key="dashboard_discard_left", on_click=DRAFTS.drop,
                      args=(actor().account, name))  # fmt: skip


def past(one: Dashboard, history: tuple[Version, ...]) -> None:
    """Every version with author and time; each can be opened, restored, forked."""
    with st.container(key="of-history-notes", width=640):
        for version in history[:NEWEST]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                note = f" · {version.note}" if version.note else ""
                st.container(width="stretch").caption(
                    plain(f"Version {version.number} · {version.author} · "
                          f"{when(version.created_at)}{note}")
                )  # fmt: skip
                if version.number < one.latest:
                    link("Open", id=one.id, version=version.number)
                    restore_button(one, version, "tertiary")
                fork_button(version, "tertiary")
        if len(history) > NEWEST:
            st.caption(f"The newest {NEWEST} of {len(history)}; older ones open by their link.")


def old(one: Dashboard, version: Version, history: tuple[Version, ...]) -> int:
    """What can be done with a version that is not the newest; returns as `buttons` does."""
    with st.container(horizontal=True, vertical_alignment="center", key="of-old-notes"):
        st.caption(f"An older version, as it was; the newest is {one.latest}.", width="content")
        link("Open the newest", id=one.id)
        restore_button(one, version)
        fork_button(version)
        with st.popover(f"History ({one.latest})", icon=":material/history:"):
            past(one, history)
        return share(one, version)


def restore_button(one: Dashboard, version: Version, kind: str = "secondary") -> None:
    """Make an old version the newest, as a new one."""
    reason = barred("edit", one.thing)
    st.button(
        "Restore" if kind == "tertiary" else "Restore this version",
        key=f"restore_{kind}_{version.number}",
        type=kind,
        disabled=bool(reason),
        help=plain(reason) or "It becomes the newest version, as a new one; none is lost.",
        on_click=restore,
        args=(one, version),
    )


def restore(one: Dashboard, version: Version) -> None:
    """Restore was pressed; somebody's save in between is told, and nothing of it is lost."""
    made = tried(
        lambda: store().dashboards.revert(actor(), one.id, version.number, one.latest)
    )  # fmt: skip
    if made:
        go(id=one.id)
        told(f"Version {version.number} is the newest again, as version {made.number}.")


def fork_button(version: Version, kind: str = "secondary") -> None:
    """A dashboard of one's own that begins as a copy."""
    reason = barred("create", Thing("dashboard"))
    st.button(
        "Fork",
        key=f"fork_{kind}_{version.number}",
        type=kind,
        disabled=bool(reason),
        help=plain(reason) or "A private copy of your own.",
        on_click=fork,
        args=(version,),
    )


def fork(version: Version) -> None:
    """Fork was pressed."""
    made = tried(
        lambda: store().dashboards.fork(actor(), version.dashboard_id, version.number)
    )  # fmt: skip
    if made:
        go(id=made.dashboard_id)
        told(f"A copy of version {version.number}, yours and private.")


def visibility(one: Dashboard) -> None:
    """Private, team, or whoever has the address."""
    reason = barred("publish", one.thing)
    st.session_state["dashboard_who"] = one.visibility
    st.radio(
        "Who sees it",
        list(WHO),
        key="dashboard_who",
        format_func=str.capitalize,
        captions=list(WHO.values()),
        disabled=bool(reason),
        on_change=lambda: tried(published(one)),
    )
    if reason:
        st.caption(plain(reason))


def published(one: Dashboard) -> Callable[[], Dashboard]:
    """What the chosen visibility asks of the store."""
    return lambda: store().dashboards.publish(actor(), one.id, st.session_state["dashboard_who"])


def delete_button(one: Dashboard) -> None:
    """Out of the lists; it can be brought back."""
    reason = barred("delete", one.thing)
    st.button(
        "Delete",
        key="dashboard_delete",
        icon=":material/delete:",
        disabled=bool(reason),
        help=plain(reason) or "With all versions and links; Deleted, below the list, undoes it.",
        on_click=delete,
        args=(one,),
    )


def delete(one: Dashboard) -> None:
    """Delete was pressed."""
    gone = tried(lambda: store().dashboards.delete(actor(), one.id) or one)
    if gone:
        go()
        told(f"Deleted {one.title}. Deleted, below the list, brings it back.")


def lost(one: Dashboard) -> None:
    """What belongs to a draft that lost a conflict."""
    with st.container(horizontal=True, vertical_alignment="center", key="of-draft-notes"):
        st.caption("This is what you wanted to save when somebody was first.", width="content")
        if one.origin:
            link("Compare the two", id=one.origin[0], mine=one.id)


def kept_since(history: tuple[Version, ...]) -> dict[str, str]:
    """When each Result was kept first, in words."""
    since: dict[str, str] = {}
    for version in reversed(history):
        for block in version.blocks:
            for name in block.results if isinstance(block, Panel) else ():
                since.setdefault(
                    name, f"Kept on {when(version.created_at)}, version {version.number}"
                )
    return since
