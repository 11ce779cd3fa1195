"""Tokens as people can see them: spaces, controls and direction marks become visible escapes."""

import unicodedata
from collections import Counter
from collections.abc import Mapping

from models.seen import escaped, hides

LONGEST = 40  # characters of one label; a longer one ends in an ellipsis
SHORT = {" ": "·", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str) -> str:
    """A label in which every character can be seen and none can act (bidi, escape, zero width)."""
    label = "".join(escape(character) for character in text)
    if label and unicodedata.category(label[0]).startswith("M"):
        label = "◌" + label  # a lone accent needs something to stand on
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def escape(character: str) -> str:
    """One character, or its name in backslash form."""
    if character in SHORT:
        return SHORT[character]
    blank = unicodedata.category(character) == "Zs"  # of another width than the one space
    return escaped(character) if blank or hides(character) else character


def byte_label(raw: bytes) -> str:
    """A token that is a piece of a UTF-8 character: its bytes in hex."""
    return "".join(f"\\x{byte:02x}" for byte in raw)


def told_apart(titles: Mapping[str, str]) -> dict[str, str]:
    """Titles by key; those that several keys share end with the key's last 8 characters.

    A list whose lines look alike gives the first of them, whichever is picked.
    """
    times = Counter(titles.values())
    return {
        key: title if times[title] == 1 else f"{title} ({key[-8:]})"
        for key, title in titles.items()
    }
