"""The gate before every route: names this server goes by, and what needs somebody signed in."""

import json
import secrets

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from app.accounts import CALLBACK, Accounts
from app.signing_in import judged
from app.visits import COOKIE, visits
from interp.store import NOBODY

PROBES = ("/api/ready", "/_stcore/health")  # platforms ask these by any name or number
CLOSED = ("/_stcore/upload_file/", "/media/", "/_stcore/metrics", "/_stcore/agent/")
SHARED = "/s/"  # these pages know no account, and so get no cookie


class Hosts(BaseHTTPMiddleware):
    """Answers only to names this server goes by; Streamlit checks its websocket alone.

    Else a page elsewhere whose name suddenly points here could read ours as its own.
    """

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.url.path in PROBES or is_host_allowed(request.headers.get("host")):
            return await call_next(request)
        return PlainTextResponse("This server does not go by that name (see HEADLAMP_URL).", 400)


class SignedIn(BaseHTTPMiddleware):
    """What Streamlit leaves open beside its pages is closed, and people return where they were.

    Pages themselves stay open: each run of main.py asks who looks.
    """

    def __init__(self, app: ASGIApp, known: Accounts) -> None:
        super().__init__(app)
        self.known = known

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        path = request.url.path
        if path.startswith(CLOSED) and judged(self.claims(request), self.known).actor == NOBODY:
            return PlainTextResponse("Sign in first.", 401)
        response = await call_next(request)
        if path == CALLBACK and response.status_code == 302:
            self.land(request, response)
        if COOKIE not in request.cookies and is_page(path, response):
            response.set_cookie(COOKIE, secrets.token_urlsafe(16), httponly=True, samesite="lax")
        if self.known.url.startswith("https:"):
            only_encrypted(response)
        return response

    def land(self, request: Request, response: Response) -> None:
        """Streamlit goes to its start after a sign-in: go where the visit came from instead."""
        signed_in = any(
            name == b"set-cookie" and value.startswith(f"{USER_COOKIE_NAME}=".encode())
            and b"Max-Age=0" not in value
            for name, value in response.raw_headers
        )  # fmt: skip
        address = visits.come_back(request.cookies.get(COOKIE, ""), signed_in)
        response.headers["location"] = address

    def claims(self, request: Request) -> dict[str, object]:
        """What the sign-in cookie says; empty where there is none that this server signed."""

        def one(name: str) -> bytes | None:
            raw = request.cookies.get(name)
            secret = get_cookie_secret()
            return raw and decode_signed_value(secret, name, raw.encode("latin-1"))

        try:
            found = json.loads(get_cookie_with_chunks(one, USER_COOKIE_NAME) or b"{}")
        except ValueError:
            return {}
        return found if found.get("origin") == self.known.url else {}


def is_page(path: str, response: Response) -> bool:
    """Whether a browser shows this as one of the app's pages."""
    kind = response.headers.get("content-type", "")
    return kind.startswith("text/html") and not path.startswith(SHARED)


def only_encrypted(response: Response) -> None:
    """Have browsers send our cookies over https alone, as the address says."""
    response.raw_headers[:] = [
        (name, value + b"; Secure" if name == b"set-cookie" and b"; Secure" not in value else value)
        for name, value in response.raw_headers
    ]
