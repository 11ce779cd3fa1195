"""Share links on a page: make one, see it once, look through those there are, withdraw them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import streamlit as st

from app.accounts import loopback
from app.engine_room import again, watch
from app.panels.dashboard_room import results_of, titled, tried, when
from app.panels.share_check import Making
from app.plain import plain
from app.share_address import base
from app.shared_route import PATH
from app.store_room import actor, barred, store
from interp.store import Dashboard, StoreError, Version
from interp.store.shares import LIFETIMES, NewShare, Share

LIVES = {"1 h": "1 hour", "1 d": "1 day", "7 d": "7 days", "never": "No end"}
USUAL = "7 d"
SHOWN = 30  # links of a list
STATES = {"verified": st.success, "differs": st.warning, "not checked": st.info}


def share_panel(dashboard: Dashboard, version: Version) -> int:
    """Everything about links to one version; returns how much is being computed for one."""
    now = making(version)
    answer = now.advance() if now else None
    if now and not answer and not now.cancelled:
        finish(now)
        again()
    with st.container(key="of-share-notes", gap="small"):
        fresh(version)
        if answer:
            st.caption(
                f"Computing the numbers again before they are shared: {len(now.found)} of "
                f"{len(now.results)} results done. After Cancel you can share it unchecked."
            )
            watch([answer], "share")
        elif now:
            stopped(now)
        else:
            offer(dashboard, version)
        lists(dashboard)
    return int(answer is not None)


def making(version: Version) -> Making | None:
    """The link to this version that is being made in this tab."""
    found = st.session_state.get("share_making")
    here = (version.dashboard_id, version.number)
    return found if found and (found.dashboard_id, found.number) == here else None


def offer(dashboard: Dashboard, version: Version) -> None:
    """How long, and the button."""
    results, broken = results_of(version)
    reason = barred("share", dashboard.thing) or next(iter(broken.values()), "")
    st.caption(
        f"A snapshot of version {version.number} at an address of its own: whoever has it sees "
        "this version with its numbers, without signing in, also when the dashboard or its models "
        "have changed or are gone."
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        lifetime = st.segmented_control(
            "The link ends after",
            list(LIFETIMES),
            key="share_lifetime",
            default=USUAL,
            required=True,
            format_func=LIVES.get,
            disabled=bool(reason),
        )
        st.button(
            "Share a snapshot",
            key="share_make",
            type="primary",
            icon=":material/link:",
            disabled=bool(reason),
            help=plain(reason)
            or "First its numbers are computed again, in the background, and "
            "the snapshot says whether they agree.",
            on_click=begin,
            args=(Making(version.dashboard_id, version.number, lifetime or USUAL, results),),
        )


def begin(now: Making) -> None:
    """Share was pressed."""
    st.session_state.pop("share_made", None)
    st.session_state["share_making"] = now


def stopped(now: Making) -> None:
    """The check was cancelled."""
    st.caption(
        f"Cancelled: nothing is shared yet. {len(now.found)} of {len(now.results)} results were "
        "computed again."
    )
    with st.container(horizontal=True, gap="small"):
        st.button("Go on checking", key="share_again", type="primary", on_click=now.again)
        st.button(
            "Share it unchecked",
            key="share_unchecked",
            help="The snapshot says that its numbers were not all computed again.",
            on_click=now.leave,
        )
        st.button("Don't share", key="share_drop", on_click=drop)


def drop() -> None:
    """No link after all."""
    st.session_state.pop("share_making", None)


def finish(now: Making) -> None:
    """All is computed: make the link, and keep it in this tab to be shown once."""
    drop()
    made = tried(
        lambda: store().shares.share(
            actor(), now.dashboard_id, now.number, now.lifetime, now.recompute()
        )
    )
    if made:
        st.session_state["share_made"] = made


def fresh(version: Version) -> None:
    """The link that was just made, until it is put away."""
    made: NewShare | None = st.session_state.get("share_made")
    if made is None or made.share.dashboard_id != version.dashboard_id:
        return
    address = f"{base()}{PATH}{made.token}"
    st.markdown("**Copy this link now:** it is shown once, and only its hash is kept.")
    st.code(address, language=None, wrap_lines=True)
    host = urlsplit(address).hostname
    if not host:
        st.caption("Put the address of this server in front of it.")
    elif loopback(host):
        st.caption("It opens on this machine only; set HEADLAMP_URL to where others reach it.")
    state = made.verdict.state
    STATES[state](plain(f"{state.capitalize()}. {made.verdict.sentence}"))
    st.button("I have copied it", key="share_copied", on_click=put_away)


def put_away() -> None:
    """The link was copied."""
    st.session_state.pop("share_made", None)


def lists(dashboard: Dashboard) -> None:
    """Links to this dashboard, and all of one's own."""
    try:
        here = store().shares.of(actor(), dashboard.id)
    except StoreError:  # may read it, and not share it
        here = ()
    known = {one.id for one in here}
    mine = [one for one in own() if one.id not in known]
    if here:
        st.markdown(f"**Links to this dashboard ({len(here)})**")
        rows(here, {})
    if mine:
        with st.expander(f"My links to other dashboards ({len(mine)})"):
            rows(mine, titles())


def own() -> tuple[Share, ...]:
    """Links that the actor made; none where they may have none."""
    try:
        return store().shares.mine(actor())
    except StoreError:
        return ()


def titles() -> Mapping[str, str]:
    """Titles of dashboards by id, as far as the actor may read them."""
    every = (*store().dashboards.list(actor()), *store().dashboards.list(actor(), deleted=True))
    return {one.id: one.title for one in every}


def rows(found: Iterable[Share], known: Mapping[str, str]) -> None:
    """A line for each link, open ones first."""
    found = sorted(found, key=lambda one: state_of(one)[0] != "Open")
    for one in found[:SHOWN]:
        row(one, titled(known[one.dashboard_id]) if one.dashboard_id in known else "")
    if len(found) > SHOWN:
        st.caption(f"{SHOWN} of {len(found)} links; the others are older.")


def row(one: Share, title: str) -> None:
    """When it was made, until when it holds, its verdict; two clicks withdraw it."""
    state, words = state_of(one)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        whose = f"{title} · " if title else ""
        st.container(width="stretch").caption(
            f"**{state}** · {whose}" + plain(
                f"version {one.number} · {one.verdict} · made {when(one.created_at)}{words}"
            )
        )  # fmt: skip
        if state != "Open":
            return
        if st.session_state.get("share_revoking") != one.id:
            st.button("Withdraw", key=f"share_revoke_{one.id}", type="tertiary",
                      on_click=wanted, args=(one.id,))  # fmt: skip
            return
        st.button("Withdraw for good", key=f"share_sure_{one.id}", type="primary",
                  on_click=revoke, args=(one.id,))  # fmt: skip
        st.button("Keep", key=f"share_keep_{one.id}", on_click=wanted, args=("",))


def state_of(one: Share) -> tuple[str, str]:
    """Open, ended or withdrawn, and when."""
    ends, now = one.expires_at, datetime.now(UTC)
    if one.closed_at and (ends is None or one.closed_at < ends):
        return "Withdrawn", f" · withdrawn {when(one.closed_at)}"
    if ends and (one.closed_at or ends <= now):
        return "Ended", f" · ended {when(ends)}"
    return "Open", f" · ends {when(ends)}" if ends else " · no end"


def wanted(share_id: str) -> None:
    """Withdraw was pressed for a link, or Keep for none."""
    st.session_state["share_revoking"] = share_id


def revoke(share_id: str) -> None:
    """Pressed twice."""
    wanted("")
    tried(lambda: store().shares.revoke(actor(), share_id))
    made = st.session_state.get("share_made")
    if made is not None and made.share.id == share_id:
        put_away()
