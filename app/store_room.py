"""The one store of this process, and who asks it."""

from functools import cache

from app.signing_in import here
from interp.store import Actor, Store, StoreError, Thing, authorize, open_store

READ_ONLY = "The store is open for reading only: its file is write-protected, so nothing is saved."


@cache
def store() -> Store:
    """Opened on first use, shared by all sessions; raises StoreError where it cannot be opened."""
    return open_store()


def actor() -> Actor:
    """Whoever looks at the page now; NOBODY before they sign in and once that has run out."""
    return here().actor


def barred(action: str, thing: Thing) -> str:
    """Why the actor cannot do that now, in a sentence; empty where they can."""
    try:
        if store().read_only:
            return READ_ONLY
        authorize(actor(), action, thing)
    except StoreError as problem:
        return str(problem)
    return ""
