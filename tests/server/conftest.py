"""One server for all files that talk to it."""

from tests.server.web import web

__all__ = ["web"]
