"""/s/{token}: the page of a share link. It knows no account, changes nothing, and logs no token."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.export import snapshot
from app.export.report import policy
from app.store_room import store
from interp.engine.cache import ByteCache
from interp.store import ShareRefused, StoreError
from interp.store.shares import Admission

PATH = "/s/"
ALLOWED = ("GET", "HEAD")
UNREADABLE = "What this link shows cannot be read just now. Tell whoever sent it."
WRONG = "A link can be read, and nothing else can be done with it."
MIB = 2**20
# Nobody's page: without an origin of its own it reads no cookie and reaches no other page of this
# server. Its only script, named by its hash, asks whether the link still holds: a page that loaded
# itself anew would lose the reader's place each time, and a sandbox allows that to scripts alone.
PAGE = f"sandbox allow-scripts allow-downloads; {policy(snapshot.SHARED)}{snapshot.MAY}"
SENTENCE = f"sandbox; {policy(snapshot.SHARED)}"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
# A page without an origin may read this of us, and so may any other: it says nothing but yes or no
# about a token that whoever asks has to know.
READABLE = {"Access-Control-Allow-Origin": "*"}
# Reading and drawing wait for each other here, and not with what else the server does.
WORKERS = ThreadPoolExecutor(4, thread_name_prefix="headlamp-shared")
log = logging.getLogger("headlamp.shared")


class Pages:
    """Drawn pages, those used last, bounded in bytes; what many ask for at once is drawn once."""

    def __init__(self, budget: int = 128 * MIB) -> None:
        self.cache, self.drawing = ByteCache(budget), threading.Lock()

    def of(self, admitted: Admission, token: str, as_file: bool) -> bytes:
        """The page of a token that was let in just now.

        Raises ShareRefused where it no longer is, StoreError where its snapshot is damaged.
        """
        key = f"{admitted.snapshot} {admitted.expires_at} {as_file}"
        found = self.cache.get(key)
        if found is None:
            with self.drawing:
                found = self.cache.get(key) or self.drawn(key, token, as_file)
        return found

    def drawn(self, key: str, token: str, as_file: bool) -> bytes:
        """The page, drawn now."""
        found = (snapshot.file if as_file else snapshot.page)(store().shares.open(token))
        self.cache.put(key, found)
        return found


PAGES = Pages()


class SharedPages:
    """Answers everything under PATH, before anything else looks at the address.

    So whatever stands behind PATH, be it no path at all, is refused in the very same bytes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        if request.method in ALLOWED:
            token, what = scope["path"][len(PATH) :], request.url.query
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(WORKERS, answer, token, what)
        else:
            response = sentence(WRONG, 405, {"Allow": ", ".join(ALLOWED)})
        await response(scope, receive, send)


def answer(token: str, what: str) -> Response:
    """The page, or a sentence: the same 404 for every token that opens nothing."""
    try:
        admitted = store().shares.check(token)
        if what == snapshot.HOLDS:
            return Response(None, 204, HEADERS | READABLE)
        found = PAGES.of(admitted, token, what == snapshot.FILE)
    except ShareRefused as refused:
        return sentence(str(refused), 404, READABLE)
    except StoreError as problem:  # its words may name paths of this server
        log.error("a shared page cannot be read: %s", type(problem).__name__)
        return sentence(UNREADABLE, 503)
    except Exception:
        log.exception("a shared page cannot be drawn")
        return sentence(UNREADABLE, 503)
    named = {"Content-Disposition": 'attachment; filename="headlamp-snapshot.html"'}
    return html(found, 200, PAGE, named if what == snapshot.FILE else {})


def sentence(words: str, status: int, more: dict[str, str] | None = None) -> Response:
    """A page that only says something."""
    return html(snapshot.notice(words), status, SENTENCE, more or {})


def html(body: bytes, status: int, policy: str, more: dict[str, str]) -> Response:
    """An answer with all headers."""
    told = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
    return Response(body, status, HEADERS | told | more, media_type="text/html; charset=utf-8")
