"""Tokens as people can see them: spaces, controls and direction marks become visible escapes."""

import unicodedata

LONGEST = 40  # characters of one label; a longer one ends in an ellipsis
# Letters, digits, marks and punctuation show themselves; everything else is written out.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
SHORT = {" ": "·", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str) -> str:
    """A label in which every character can be seen and none can act (bidi, escape, zero width)."""
    label = "".join(escape(character) for character in text)
    if label and unicodedata.combining(label[0]):
        label = "◌" + label  # a lone accent needs something to stand on
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def escape(character: str) -> str:
    """One character, or its name in backslash form."""
    if character in SHORT:
        return SHORT[character]
    if unicodedata.category(character) not in HIDDEN:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def byte_label(raw: bytes) -> str:
    """A token that is a piece of a UTF-8 character: its bytes in hex."""
    return "".join(f"\\x{byte:02x}" for byte in raw)
