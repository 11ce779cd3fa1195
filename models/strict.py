"""JSON as strangers hand it in: every field once, only numbers that a program keeps whole."""

import json
import math
from typing import Any, NoReturn

from models.seen import seen

LONGEST_NUMBER = 18  # characters; longer ones lose digits in most readers
QUOTED = 80  # characters of a name inside a sentence


class NotStrict(ValueError):
    """What is not taken, in one sentence."""


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields; raises NotStrict where two have one name."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotStrict(f"The field '{seen(key[:QUOTED])}' is there twice; keep one.")
        found[key] = value
    return found


def no_constant(name: str) -> NoReturn:
    """NaN and the infinities are not JSON."""
    raise NotStrict(f"{name} is not a number in JSON; write a finite one.")


def short_int(digits: str) -> int:
    """A whole number; raises NotStrict for one of too many digits."""
    if len(digits) > LONGEST_NUMBER:
        raise NotStrict(
            f"A number has {len(digits):,} characters; at most {LONGEST_NUMBER} are read."
        )
    return int(digits)


def finite(digits: str) -> float:
    """A decimal number; raises NotStrict for one that is too large for a float."""
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrict(f"The number '{digits[:QUOTED]}' is too large; write a finite one.")
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=each_once, parse_constant=no_constant, parse_int=short_int, parse_float=finite
)
