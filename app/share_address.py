"""The address that people reach this server by, to stand before what is handed on."""

import os
from urllib.parse import urlsplit

import streamlit as st
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from app.accounts import origin


def base() -> str:
    """HEADLAMP_URL, or else scheme and host as the browser that asks has them; empty: unknown.

    A browser may say any host; only one that this server goes by is handed on.
    """
    said = os.environ.get("HEADLAMP_URL", "").strip()
    if said:
        return origin("HEADLAMP_URL", said)
    here = urlsplit(st.context.url or "")
    known = here.scheme in ("http", "https") and is_host_allowed(here.netloc)
    return f"{here.scheme}://{here.netloc}" if known and here.netloc else ""
