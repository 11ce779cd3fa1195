"""What a Result says was asked, read as if somebody else had written it: kinds, ranges, sizes."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from interp.studies.study import Setting
from interp.subject import Refused

T = TypeVar("T")
LONGEST = 2**20  # entries of a list, characters of a text
# Of numbers that no `setting` bounds. Pages offer far less; a file could ask for anything.
RANGES = {
    "seed": (0, 2**32 - 1),
    "rows": (1, LONGEST),
    "length": (2, 8192),
    "count": (1, 1000),
    "sequences": (1, 1000),
    "said": (0, 1024),
    "d_head": (4, 1024),
    "rotated": (4, 1024),
}


class Unreadable(ValueError):
    """What a request cannot be, in words that follow its name."""


def fill(kind: type[T], raw: Mapping[str, Any]) -> T:
    """A frozen request from parsed JSON: the fields it has, of their kinds, within their ranges.

    Raises Refused, naming the field, for anything else, and where the request itself refuses.
    """
    try:
        return made(kind, raw, "the request")
    except (ValueError, OverflowError) as problem:
        raise Refused(f"What was asked cannot be read: {problem}") from problem


def made(kind: type[T], raw: Any, name: str) -> T:
    """A dataclass of plain values."""
    if not isinstance(raw, Mapping):
        raise Unreadable(f"{name} is no object")
    known = {field.name: field for field in fields(kind)}
    if extra := [str(key) for key in raw if key not in known]:
        raise Unreadable(f"{name} has a field {extra[0][:60]!a} that there is not")
    hints = get_type_hints(kind)
    values = {key: value_of(hints[key], raw[key], known[key]) for key in raw}
    lacking = [f.name for f in known.values() if f.name not in values and needed(f)]
    if lacking:
        raise Unreadable(f"{name} has no {lacking[0]}")
    return kind(**values)


def needed(field: Field) -> bool:
    """Whether a field has no value by itself."""
    return field.default is MISSING and field.default_factory is MISSING


def value_of(hint: Any, raw: Any, field: Field) -> Any:
    """A field's value, within its range."""
    value = read(hint, raw, field.name)
    if "choices" in field.metadata:
        one = Setting(field.name, kind=type(field.default), default=field.default, **field.metadata)
        return one.read(one.write(value))
    low, high = RANGES.get(field.name, (None, None))
    if low is not None and value is not None and not low <= value <= high:
        raise Unreadable(f"{field.name} is {value!r:.60}; give {low} to {high}")
    return value


def read(hint: Any, raw: Any, name: str) -> Any:
    """A value of that kind; a list of JSON is a tuple here."""
    if get_origin(hint) in (Union, types.UnionType):
        return None if raw is None else read(get_args(hint)[0], raw, name)
    if get_origin(hint) is tuple:
        return tuple_of(get_args(hint), raw, name)
    if get_origin(hint) is Literal:
        if raw not in get_args(hint):
            raise Unreadable(f"{name} is {raw!r:.60}; there are {get_args(hint)}")
        return raw
    if is_dataclass(hint):
        return made(hint, raw, name)
    return plain(hint, raw, name)


def plain(hint: Any, raw: Any, name: str) -> int | float | bool | str:
    """A number, a text or a yes; True is no number."""
    if hint is float and type(raw) is int:
        return float(raw)
    if hint not in (int, float, bool, str) or type(raw) is not hint:
        raise Unreadable(
            f"{name} is {raw!r:.60}; give one of kind {getattr(hint, '__name__', '?')}"
        )
    if isinstance(raw, str) and len(raw) > LONGEST:
        raise Unreadable(f"{name} has {len(raw):,} characters, over {LONGEST:,}")
    return raw


def tuple_of(kinds: tuple[Any, ...], raw: Any, name: str) -> tuple[Any, ...]:
    """Values of a list, all of one kind or each of its own."""
    if not isinstance(raw, list | tuple) or len(raw) > LONGEST:
        raise Unreadable(f"{name} is no list of at most {LONGEST:,} values")
    if kinds[-1] is Ellipsis:
        return tuple(read(kinds[0], one, name) for one in raw)
    if len(raw) != len(kinds):
        raise Unreadable(f"{name} has {len(raw)} values, not {len(kinds)}")
    return tuple(read(kind, one, name) for kind, one in zip(kinds, raw, strict=True))
