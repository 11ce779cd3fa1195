"""Room for uploads: Streamlit keeps them in memory, so all of them together are bounded."""

import gc

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from streamlit.runtime import exists, get_instance

from models.incoming.receiving import LARGEST

TOGETHER = 2 * LARGEST  # bytes of all uploads that sessions hold or are sending
SMALL = 2**23  # bytes that need no room made first
ROUTE = "/_stcore/upload_file/"


class Room(BaseHTTPMiddleware):
    """Refuses an upload that would not fit beside those that are there, before a byte is read.

    Streamlit takes files of sessions that never showed a widget for them, and holds them until the
    session ends.
    """

    coming = 0  # bytes of requests that are on their way

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.method != "PUT" or ROUTE not in request.url.path:
            return await call_next(request)
        told = request.headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdecimal() else LARGEST
        if size > SMALL:
            gc.collect()  # sessions that are over hold theirs in cycles until this
        if held() + self.coming + size > TOGETHER:
            return PlainTextResponse("Too many uploads at once; try again in a minute.", 413)
        self.coming += size
        try:
            return await call_next(request)
        finally:
            self.coming -= size


def held() -> int:
    """Bytes of the files that sessions have uploaded and not let go of."""
    if not exists():
        return 0
    stats = get_instance().uploaded_file_mgr.get_stats()
    return sum(stat.byte_length for family in stats.values() for stat in family)
