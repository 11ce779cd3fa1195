"""Labels show every character and let none act: bidi, escapes, zero width, blanks, accents."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.adapters.own import Own
from interp.labels import LONGEST, byte_label, visible

# Code points that Unicode says to draw as nothing (Default_Ignorable_Code_Point, Unicode 14),
# less those in categories Cf and Cn, which are caught by category.
IGNORABLE = [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0]
IGNORABLE += [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
ACTING = [*range(0x20), 0x7F, *range(0x80, 0xA0), 0xAD, 0x61C, 0x200B, 0x200C, 0x200D, 0x200E]
ACTING += [0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]
ACTING += [0xE0001, 0xE0041, 0xD800, 0xDFFF, 0xE000, 0xFFFF]
BLANK = [0x20, 0xA0, 0x1680, 0x2000, 0x200A, 0x202F, 0x205F, 0x2800, 0x3000]
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}


def hidden(label: str) -> list[str]:
    """Characters of a label that cannot be seen, or that act."""
    never = {*IGNORABLE, *ACTING, *BLANK}
    return [c for c in label if unicodedata.category(c) in HIDDEN or ord(c) in never]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the", "the"), (" the", "·the"), ("\n", "\\n"), ("\t", "\\t"), ("\r\n", "\\r\\n"),
        ("\x00", "\\x00"), ("\x1b[31m", "\\x1b[31m"), ("\x07", "\\x07"), ("\x7f", "\\x7f"),
        ("\x85", "\\x85"), ("\xa0", "\\xa0"), ("\xad", "\\xad"), ("\u200b", "\\u200b"),
        ("a\u202eb", "a\\u202eb"), ("\u2066", "\\u2066"), ("\ufeff", "\\ufeff"),
        ("\u2028", "\\u2028"), ("\u3000", "\\u3000"), ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"), ("\u0301", "◌\u0301"), ("e\u0301", "e\u0301"),
        ("\u20dd", "◌\u20dd"), ("\u0903", "◌\u0903"), ("\ufe0f", "\\ufe0f"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("\u3164", "\\u3164"), ("", ""), ("日本", "日本"), ("🙂", "🙂"), ("שלום", "שלום"),
        ("<b>&", "<b>&"), ("\x1b]52;c;eA==\x07", "\\x1b]52;c;eA==\\x07"),
    ],
)  # fmt: skip
def test_visible(text: str, label: str) -> None:
    assert visible(text) == label


@pytest.mark.parametrize("code", [*IGNORABLE[:30], *ACTING, *BLANK])
def test_nothing_that_hides_or_acts_is_left(code: int) -> None:
    for text in (chr(code), f"a{chr(code)}b", chr(code) * 3):
        assert hidden(visible(text)) == [] and visible(text).strip()
    assert visible(chr(code)) != visible(chr(code + 1))


@pytest.mark.parametrize("length", [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, 10_000])
def test_labels_are_bounded(length: int) -> None:
    label = visible("x" * length)
    assert len(label) == min(length, LONGEST)
    assert label == ("x" * length if length <= LONGEST else "x" * (LONGEST - 1) + "…")


def test_heaps_of_accents_are_bounded() -> None:
    assert len(visible("e" + "\u0301" * 500)) == LONGEST == len(visible("\u0301" * 500))


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text(text: str) -> None:
    label = visible(text)
    assert hidden(label) == [] and len(label) <= LONGEST
    assert bool(label) == bool(text)
    assert visible(label) == label  # nothing in a label needs hiding once more
    assert not label or not unicodedata.combining(label[0])


@given(st.binary(max_size=8))
def test_byte_labels(raw: bytes) -> None:
    label = byte_label(raw)
    assert bytes.fromhex(label.replace("\\x", "")) == raw and len(label) == 4 * len(raw)


def test_naughty_strings_as_prompts(
    shared_data: Callable[[str], Path], own: Callable[..., Own]
) -> None:
    strings = json.loads((shared_data("blns") / "blns.json").read_text("utf-8"))
    subject, count = own(), 0
    for text in strings:
        tokens = subject.encode(text)
        assert len(tokens.ids) == len(tokens.labels) == len(text.encode())
        assert subject.decode(list(tokens.ids)) == text
        assert not any(hidden(label) or not label for label in tokens.labels)
        assert hidden(visible(text)) == []
        count += 1
    assert count == 515
