"""Dashboards there are, those that lost a conflict, those that were deleted; and a new one."""

from collections.abc import Sequence

import streamlit as st

from app.dashboard_choice import go
from app.panels.dashboard_drafts import DRAFTS, begin
from app.panels.dashboard_files import drop_zone
from app.panels.dashboard_room import link, titled, told, tried, when
from app.plain import plain
from app.store_room import actor, barred, store
from interp.store import Dashboard, Thing

AT_ONCE = 30  # dashboards that are listed
FEW = 8  # that need no search


def shelf() -> None:
    """The list; raises StoreError where the store cannot be opened."""
    known = store().dashboards.list(actor())
    headline(known)
    for sentence in store().findings if actor().role in ("local", "admin") else ():
        st.warning(plain(sentence))
    reason = barred("create", Thing("dashboard"))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "New dashboard",
            key="dashboard_new",
            type="primary",
            icon=":material/add:",
            disabled=bool(reason),
            help=plain(reason) or None,
            on_click=new,
        )
        asked = searched(known)
    found = [one for one in known if asked in one.title.casefold()]
    unsaved()
    for one in found[:AT_ONCE]:
        entry(one)
    if len(found) > AT_ONCE:
        st.container(key="of-dashboards-more-notes").caption(
            f"{AT_ONCE} of {len(found)}; type a part of a title to find the others."
        )
    drop_zone()
    drafts()
    deleted()


def headline(known: Sequence[Dashboard]) -> None:
    """How many, and the one that changed last."""
    with st.container(key="of-dashboards-answer", gap="xsmall"):
        if not known:
            st.markdown("#### No dashboard yet: add any figure of any page, and it is kept here")
        else:
            count = "One dashboard" if len(known) == 1 else f"{len(known)} dashboards"
            st.markdown(f"#### {count}; {titled(known[0].title)} changed last")
        st.caption(
            "A dashboard keeps figures with the numbers they showed when they were added, and "
            "text between them. Every save is a version of its own; none is ever overwritten."
        )


def searched(known: Sequence[Dashboard]) -> str:
    """A part of a title, in small letters; empty while there are few."""
    if len(known) <= FEW:
        return ""
    return st.text_input("Find by title", key="dashboard_find", width=320).strip().casefold()


def entry(one: Dashboard) -> None:
    """A dashboard in the list."""
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"of-{one.id}-notes"
    ):
        with st.container(width="stretch"):
            link(f"**{titled(one.title)}**", ":material/dashboard:", id=one.id)
        versions = "1 version" if one.latest == 1 else f"{one.latest} versions"
        st.caption(
            plain(f"{one.owner} · {one.visibility} · {versions} · changed {when(one.changed_at)}"),
            width="content",
        )


def new() -> None:
    """New dashboard was pressed: it is made when it is saved."""
    go(edit=DRAFTS.begin(actor().account, begin(None, "My findings")))


def unsaved() -> None:
    """New dashboards that were begun and not saved."""
    for name, draft in DRAFTS.of(actor().account, "")[:3]:
        with st.container(horizontal=True, vertical_alignment="center", key=f"of-{name}-notes"):
            st.caption(
                f"Not saved yet: {titled(draft.title)}, {when(draft.touched)}.", width="content"
            )
            st.button("Go on", key=f"go_on_{name}", on_click=go, kwargs={"edit": name})
            st.button("Discard", key=f"discard_{name}", on_click=DRAFTS.drop,
                      args=(actor().account, name))  # fmt: skip


def drafts() -> None:
    """What somebody's earlier save kept from being saved."""
    mine = store().dashboards.drafts(actor())
    if not mine:
        return
    with st.expander(f"Yours, when others were first ({len(mine)})", key="dashboard_drafts"):
        for one in mine[:AT_ONCE]:
            with st.container(
                horizontal=True, vertical_alignment="center", key=f"of-draft-{one.id}-notes"
            ):
                st.caption(f"{titled(one.title)} · {when(one.created_at)}", width="content")
                if one.origin:
                    link("Compare", id=one.origin[0], mine=one.id)
                st.button("Keep as a dashboard", key=f"keep_draft_{one.id}", on_click=keep,
                          args=(one,))  # fmt: skip
                st.button("Delete", key=f"drop_draft_{one.id}", on_click=drop, args=(one,))


def keep(one: Dashboard) -> None:
    """A draft becomes a dashboard like any other."""
    if tried(lambda: store().dashboards.keep(actor(), one.id)):
        go(id=one.id)


def drop(one: Dashboard) -> None:
    """A draft is deleted."""
    tried(lambda: store().dashboards.delete(actor(), one.id))


def deleted() -> None:
    """Dashboards that were deleted, each with a way back."""
    gone = store().dashboards.list(actor(), deleted=True)
    if not gone:
        return
    with st.expander(f"Deleted ({len(gone)})", key="of-gone-dashboards-notes"):
        for one in gone[:AT_ONCE]:
            reason = barred("restore", one.thing)
            with st.container(
                horizontal=True, vertical_alignment="center", key=f"of-gone-{one.id}-notes"
            ):
                st.caption(f"{titled(one.title)} · {plain(one.owner)}", width="content")
                st.button(
                    "Bring it back",
                    key=f"undelete_{one.id}",
                    disabled=bool(reason),
                    help=plain(reason) or None,
                    on_click=undelete,
                    args=(one,),
                )
        if len(gone) > AT_ONCE:
            st.caption(f"{AT_ONCE} of {len(gone)}; the others follow as these are brought back.")


def undelete(one: Dashboard) -> None:
    """Bring it back was pressed."""
    if tried(lambda: store().dashboards.restore(actor(), one.id)):
        go(id=one.id)
        told("It is back, with all its versions.")
