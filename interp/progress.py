"""How long work says how far it is, lets urgent work pass, and learns that nobody wants it."""

from typing import Any, Protocol, runtime_checkable


class Cancelled(Exception):
    """Raised inside work that was cancelled; hooks are removed on the way out."""


@runtime_checkable
class Progress(Protocol):
    """Given to every measurement."""

    def step(self, done: int, total: int, note: str) -> None:
        """Say that `done` of `total` steps are over; raises Cancelled when nobody waits."""
        ...

    def breathe(self) -> None:
        """A point between forward passes, with no hook on any model: short work may run here."""
        ...

    def show(self, partial: Any) -> None:
        """What there is so far, for whoever watches; never changed after it was shown."""
        ...


class Silent:
    """Progress that nobody watches."""

    def step(self, done: int, total: int, note: str) -> None:
        pass

    def breathe(self) -> None:
        pass

    def show(self, partial: Any) -> None:
        pass
