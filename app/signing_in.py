"""Signing in and out, and who looks at the page now."""

import os
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import streamlit as st

from app.accounts import Accounts, Visitor, accounts, visitor
from app.plain import plain
from app.visits import COOKIE, ended, visits
from interp.store import LOCAL, NOBODY

MAY = {
    "viewer": "You may look at what is shared with the team, and run models on your own prompts.",
    "editor": "You may look, run models, and save, share and delete what is yours; what is "
    "shared with the team you may change too.",
    "admin": "You may do what editors may, and delete what others own.",
}


def team() -> Accounts | None:
    """The sign-in this server was started with; None for one person on their own machine."""
    return accounts(os.environ)


def here() -> Visitor:
    """Who asks in this session, looked up anew at every call: roles and sign-ins end at once."""
    known = team()
    if known is None:
        return Visitor(LOCAL)
    return judged(st.user.to_dict(), known)


def judged(claims: Mapping[str, object], known: Accounts) -> Visitor:
    """What a cookie's claims are worth now."""
    if sign_in_of(claims) in ended:
        return Visitor(NOBODY, why="You have signed out.")
    return visitor(claims, known, time.time())


def sign_in_of(claims: Mapping[str, object]) -> tuple[str, ...]:
    """What tells one sign-in from all others."""
    return tuple(str(claims.get(name, "")) for name in ("iss", "sub", "iat", "nonce"))


def may_look() -> bool:
    """Whether this session is shown any page."""
    return here().actor != NOBODY


def sign_in_page(path: str) -> None:
    """All that somebody sees who is not signed in; `path` is the page they came for."""
    who, visit = here(), st.context.cookies.get(COOKIE, "")
    st.markdown("## Headlamp")
    if visits.failed(visit):
        st.error("Your provider sent you back without a sign-in that we could check. Try again.")
    if who.why:
        st.warning(plain(who.why))
    st.markdown(
        "Headlamp shows what every attention head of a Transformer does with a prompt.  \n"
        f"Sign in at **{plain(provider())}** to see this page; you come back to it afterwards."
    )
    address = address_of(path)
    with st.container(horizontal=True):
        st.button(
            "Sign in as somebody else" if who.name else "Sign in",
            type="primary",
            on_click=sign_in,
            args=(visit, address),
        )
    if not visit:
        st.caption("Your browser keeps no cookies for this address, and signing in needs one.")


def provider() -> str:
    """Host name of the provider, as people know it."""
    known = team()
    return (urlsplit(known.issuer).hostname or "") if known else ""


def address_of(path: str) -> str:
    """Path and query of the page that is open now, made of our own path and encoded values."""
    query = [(name, one) for name in st.query_params for one in st.query_params.get_all(name)]
    return f"/{path}?{urlencode(query)}" if query else f"/{path}"


def sign_in(visit: str, address: str) -> None:
    """Sign in was pressed: on to the provider, and from there back to the address."""
    visits.want(visit, address)
    st.login()


def sign_out() -> None:
    """Sign out was pressed: this sign-in is over in every tab and for every copy of the cookie."""
    known = team()
    if known is not None:
        ended.end(sign_in_of(st.user.to_dict()), known.seconds)
    st.logout()


def account_page() -> None:
    """Who is signed in, what they may do, and the way out."""
    who, known = here(), team()
    if known is None or who.actor == NOBODY:
        return
    ends = time.gmtime(float(st.user["iat"]) + known.seconds)
    st.markdown(f"#### You are {plain(who.name)}, {who.actor.role} here.")
    st.caption(MAY[who.actor.role])
    st.caption(
        plain(
            f"What you save belongs to {who.actor.account}. This sign-in holds until "
            f"{time.strftime('%Y-%m-%d %H:%M', ends)} UTC."
        )
    )
    st.button("Sign out", icon=":material/logout:", on_click=sign_out)
