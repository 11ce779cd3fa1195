"""The ASGI app: the Streamlit script, /api/ready, /s/{token}, and headers on every answer."""

import base64
import gc
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.accounts import Accounts
from app.engine_room import engine
from app.gate import Hosts, SignedIn
from app.plain import plain
from app.shared_route import SharedPages
from app.starters import STARTERS, saved
from app.state import DEFAULT_MODEL
from app.uploads import Room
from interp.catalog import configured, entries
from interp.engine.forecast import patience, rates
from interp.store import StoreError
from models import smollm2
from models.device import device_words
from models.incoming.folders import allowed


def own_scripts() -> str:
    """Hashes of the scripts that stand in Streamlit's own page: no other may."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in scripts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


# Streamlit styles inline, Vega compiles its expressions, components come as blobs; nothing on a
# page comes from elsewhere, and no script that someone put into a page runs.
POLICY = {
    "default-src": "'self'",
    "script-src": f"'self' 'unsafe-eval' blob: {own_scripts()}",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


class Headers(BaseHTTPMiddleware):
    """Adds what Streamlit leaves out."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)  # a page may be stricter
        return response


async def ready(request: Request) -> JSONResponse:
    """200 once the server can answer: it is only started after the warm-up."""
    return JSONResponse({"ready": True, "device": device_words()})


def told(problem: Exception) -> bool:
    """Show a refusal that no page caught as its sentence; anything else is Streamlit's to show."""
    if not isinstance(problem, StoreError):
        return False
    st.error(plain(str(problem)))
    return True


def build(known: Accounts | None = None) -> st.App:
    """The app around main.py, with the sign-in it was started with."""
    inner = [Middleware(SignedIn, known=known)] if known else []
    return st.App(
        Path(__file__).with_name("main.py"),
        secrets=known.secrets() if known else None,
        routes=[Route("/api/ready", ready)],
        middleware=[
            Middleware(Headers),
            Middleware(Hosts),
            *inner,
            Middleware(SharedPages),
            Middleware(Room),
        ],
        on_script_error=told,
    )


def warm_up(say: Callable[[str], None]) -> None:
    """Import and load what the first visitor needs, then freeze it out of garbage collection.

    Without the freeze a collection walks all of torch and transformers and stops every page.
    """
    configured(), allowed(), patience()  # a wrong setting stops the start, not the first visitor
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
