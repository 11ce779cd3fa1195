"""Visits: where a browser wanted to go before it was sent to sign in. Kept in memory, bounded."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "headlamp_visit"  # holds a random name and nothing else: no address comes from a browser
MOST = 1_000  # visits kept; the oldest go first
PATIENCE = 15 * 60.0  # s that a provider's page may take


@dataclass(frozen=True)
class Visit:
    """One try to sign in."""

    address: str  # path and query of one of our pages
    at: float
    failed: bool = False


class Visits:
    """Tries to sign in by the name of their visit; safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.lock = clock, threading.Lock()
        self.found: OrderedDict[str, Visit] = OrderedDict()

    def want(self, name: str, address: str) -> None:
        """Somebody goes to sign in from that address, which has to be a path of this server."""
        if not name or not address.startswith("/") or address.startswith("//"):
            return
        with self.lock:
            self.found[name] = Visit(address, self.clock())
            self.found.move_to_end(name)
            while len(self.found) > MOST:
                self.found.popitem(last=False)

    def come_back(self, name: str, signed_in: bool) -> str:
        """Where that visit goes on to: the address it came from, or the start.

        One that failed is remembered, so that it goes there after another try.
        """
        with self.lock:
            visit = self.found.get(name)
            if visit is None or self.clock() - visit.at > PATIENCE:
                return "/"
            if signed_in:
                del self.found[name]
            else:
                self.found[name] = Visit(visit.address, visit.at, failed=True)
            return visit.address

    def failed(self, name: str) -> bool:
        """Whether the last try of that visit did not work."""
        with self.lock:
            return name in self.found and self.found[name].failed


class Ended:
    """Sign-ins that somebody ended: the cookie would hold on, in other tabs and in copies."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock, self.lock = clock, threading.Lock()
        self.until: dict[tuple[str, ...], float] = {}

    def end(self, name: tuple[str, ...], seconds: float) -> None:
        """End one that would hold so many seconds at most."""
        with self.lock:
            now = self.clock()
            self.until = {one: end for one, end in self.until.items() if end > now}
            self.until[name] = now + seconds

    def __contains__(self, name: object) -> bool:
        with self.lock:
            return name in self.until


visits = Visits()
ended = Ended()
