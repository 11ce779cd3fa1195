"""The ASGI app: the Streamlit script, /api/ready, and headers on every answer."""

import gc
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.engine_room import engine
from app.starters import STARTERS, saved
from app.state import DEFAULT_MODEL
from interp.catalog import configured, entries
from interp.engine.forecast import patience, rates
from models import smollm2
from models.device import device_words

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


class Headers(BaseHTTPMiddleware):
    """Adds what Streamlit leaves out."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response


async def ready(request: Request) -> JSONResponse:
    """200 once the server can answer: it is only started after the warm-up."""
    return JSONResponse({"ready": True, "device": device_words()})


def build() -> st.App:
    """The app around main.py."""
    return st.App(
        Path(__file__).with_name("main.py"),
        routes=[Route("/api/ready", ready)],
        middleware=[Middleware(Headers)],
    )


def warm_up(say: Callable[[str], None]) -> None:
    """Import and load what the first visitor needs, then freeze it out of garbage collection.

    Without the freeze a collection walks all of torch and transformers and stops every page.
    """
    configured(), patience()  # a wrong setting stops the start, not the first visitor
    say(f"device: {device_words()}")
    import altair  # noqa: F401  (these two so that no visitor waits for the import)
    import pyarrow  # noqa: F401

    for name in STARTERS:
        saved(name)
    if smollm2.ready():
        title = entries()[DEFAULT_MODEL].title
        say(f"loading {title} ...")
        engine().shelf.get(DEFAULT_MODEL)
    else:
        say("SmolLM2 is not here yet; `make run` gets it, or the page will on first use")
    rates()  # timed while nothing else runs
    gc.collect()
    gc.freeze()
