"""Seen: text in which every character shows and none acts; what moves or hides is written out."""

import unicodedata

# Letters, digits, marks, punctuation and blanks show themselves.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Joiners inside emoji and of Persian and Indic words, and the choice of an emoji's colour.
JOINERS = {0x200C, 0x200D, 0xFE0E, 0xFE0F}
# Letters and marks that draw nothing: Unicode's default-ignorable ones, and the blank braille cell.
BLANK = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
BLANK |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def seen(text: str) -> str:
    r"""The text with what acts or hides written out, as in `\u202e`; joiners stay."""
    return "".join(c if ord(c) in JOINERS or not hides(c) else escaped(c) for c in text)


def hides(character: str) -> bool:
    """Whether it would move others, hide, or draw nothing."""
    return unicodedata.category(character) in HIDDEN or ord(character) in BLANK


def escaped(character: str) -> str:
    """Its number in backslash form."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
