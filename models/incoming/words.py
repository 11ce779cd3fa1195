"""Words about what users bring: names and titles in which all characters show and none acts."""

import json
import unicodedata

from models.seen import seen

LONGEST = 200  # characters of a title
QUOTED = 80  # characters of a name inside a sentence
MOST = 10  # names that a sentence lists


class Rejected(ValueError):
    """Why a model is not taken, in one sentence for whoever brought it."""


def title(text: str) -> str:
    """A title in NFC, ends stripped; raises Rejected for none, or over 200 characters."""
    shown = seen(unicodedata.normalize("NFC", text[: 8 * LONGEST].strip()))
    if not shown:
        raise Rejected("The title is empty; type one.")
    if len(shown) > LONGEST or len(text) > 8 * LONGEST:
        raise Rejected(f"The title has {len(text):,} characters; at most {LONGEST} are kept.")
    return shown


def quoted(text: str) -> str:
    """A user's word inside a sentence."""
    return f"'{seen(text if len(text) <= QUOTED else text[: QUOTED - 1] + '…')}'"


def shown(value: object) -> str:
    """Any value of JSON inside a sentence."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value)


def some(names: list[str]) -> str:
    """Names in a sentence, ten at most."""
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(map(quoted, names[:MOST])) + more
