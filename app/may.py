"""May: what is asked before anything is done that the store does not ask for itself."""

from collections.abc import Callable

from app.store_room import actor
from interp import prompts
from interp.store import StoreError, Thing, authorize


def reason(asked: Callable[[], None]) -> str:
    """Why they may not, in a sentence; empty where `asked` returns."""
    try:
        asked()
    except StoreError as problem:
        return str(problem)
    return ""


def change_models() -> None:
    """Return when they may add or delete models; raises StoreError, in a sentence, when not."""
    authorize(actor(), "create", Thing("model"))


def run() -> None:
    """Return when they may have a model run; raises StoreError when not.

    Viewers may: a page that nobody has opened before is computed as it is looked at, and one
    engine with one queue serves all in turn.
    """
    authorize(actor(), "create", Thing("run"))


def keep_prompt(text: str) -> str:
    """Keep a prompt that is too long for a link; its name. Whoever may run it may keep it."""
    run()
    return prompts.keep(text)
