"""JSON as a model may bring it: strict, an object, and not nested deep."""

import json
import re
from typing import Any

from models.incoming.words import Rejected
from models.strict import DECODER, NotStrict

DEEPEST = 16
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
BRACKET = re.compile(rb"[\[\]{}]")


def parsed(raw: bytes, what: str) -> dict[str, Any]:
    """The object that the bytes hold; raises Rejected, naming `what`, for anything else."""
    if depth(raw) > DEEPEST:
        raise Rejected(f"{what} nests more than {DEEPEST} deep; nothing here does.")
    try:
        found = DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise Rejected(f"{what} is not UTF-8 at byte {problem.start + 1}.") from None
    except json.JSONDecodeError as problem:
        place = f"{problem.msg.rstrip()}, character {problem.pos + 1}"
        raise Rejected(f"{what} is not JSON: {place}.") from None
    except NotStrict as problem:
        raise Rejected(f"{what}: {problem}") from None
    if not isinstance(found, dict):
        raise Rejected(f"{what} is not a JSON object.")
    return found


def depth(raw: bytes) -> int:
    """How deep the brackets nest, strings left out."""
    now = deepest = 0
    for bracket in BRACKET.findall(STRING.sub(b"", raw)):
        now += 1 if bracket in b"[{" else -1
        deepest = max(deepest, now)
    return deepest
