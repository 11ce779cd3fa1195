"""Strict: JSON as people hand it in, and the sentence for what is not taken of it."""

import json
from typing import Any

from interp.labels import visible
from models.strict import DECODER, NotStrict


class RowProblem(ValueError):
    """What cannot be read, in one sentence for the person whose file it is."""


def decode(text: str) -> Any:
    """The value of a JSON text; raises RowProblem."""
    value, end = decode_start(text)
    if text[end:].strip():
        raise RowProblem(
            f"Something follows the JSON value at character {end + 1}; put one row on a line."
        )
    return value


def decode_start(text: str) -> tuple[Any, int]:
    """The JSON value that a text starts with, and where it ends; raises RowProblem."""
    try:
        return DECODER.raw_decode(text)
    except NotStrict as problem:
        raise RowProblem(str(problem)) from None
    except RecursionError:
        raise RowProblem("It nests too deep to be a row; flatten it.") from None
    except json.JSONDecodeError as problem:
        raise RowProblem(
            f"It is not JSON: {problem.msg.rstrip()}, character {problem.pos + 1}."
        ) from None


def shown(value: Any) -> str:
    """A value inside a sentence: short, in quotes if it is text, and inert."""
    if isinstance(value, str):
        return f"'{visible(value[:80]).replace('·', ' ')}'"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return {"dict": "an object", "list": "a list"}[type(value).__name__]


def whole(row: dict[str, Any], field: str) -> str:
    """A field that must be text; raises RowProblem where it isn't, is blank, or no real text."""
    if field not in row:
        raise RowProblem(f"The field '{field}' is missing; add it.")
    return as_text(row[field], f"The field '{field}'")


def as_text(value: Any, what: str) -> str:
    """A value that must be text; raises RowProblem, starting with what it is."""
    if not isinstance(value, str):
        raise RowProblem(f"{what} is {shown(value)}; write text.")
    if not value.strip():
        raise RowProblem(f"{what} is blank; write some text.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as problem:
        code = ord(value[problem.start])
        raise RowProblem(
            f"{what} holds a lone surrogate (U+{code:04X}), which is not text; remove it."
        ) from None
    return value


def fields_of(row: dict[str, Any], field: str) -> dict[str, Any]:
    """A field that must be an object; raises RowProblem."""
    value = row.get(field)
    if not isinstance(value, dict):
        raise RowProblem(f"The field '{field}' is {shown(value)}; write an object.")
    return value


def list_of(row: dict[str, Any], field: str, most: int) -> list[Any]:
    """A field that must be a list of at most `most` entries; raises RowProblem."""
    value = row.get(field)
    if not isinstance(value, list):
        raise RowProblem(f"The field '{field}' is {shown(value)}; write a list.")
    if len(value) > most:
        raise RowProblem(
            f"The field '{field}' has {len(value):,} entries; at most {most} are read."
        )
    return value
