"""What goes from Python to a component: its script text and its packed data."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def _joined(names: Sequence[str]) -> str:
    return "".join((_HERE / name).read_text("utf-8") for name in names)


def script(*names: str) -> str:
    """JavaScript of one component, with the shared helpers in front of it."""
    return _joined(["common.js", *(f"{name}.js" for name in names)])


def style(name: str) -> str:
    """CSS of one component, with the shared rules in front of it."""
    return _joined(["common.css", f"{name}.css"])


def pack(header: Mapping[str, Any], body: bytes) -> bytes:
    """u32 little-endian header length, JSON header, body starting at a multiple of 4.

    The header is pure ASCII, so token text with lone surrogates survives. NaN is refused
    because JSON has none: send None for "not defined".
    """
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + body
