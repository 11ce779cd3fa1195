"""Exhibits: what a Result shows besides scores of heads: curves, heat maps and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

Provenance = Literal["measured", "derived", "proxy", "estimator"]
# measured: the answer. null: where the effect should be absent. check: where it should be as it
# was. theory: a formula at the same x, no measurement.
Role = Literal["measured", "null", "check", "theory"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Series:
    """One line of a curve. NaN ends: no interval, and the curve's note says why."""

    name: str
    role: Role
    x: Float[np.ndarray, " N"]
    value: Float[np.ndarray, " N"]
    low: Float[np.ndarray, " N"]  # 95 % interval
    high: Float[np.ndarray, " N"]
    n: Int[np.ndarray, " N"]
    provenance: Provenance = "measured"


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Lines over one x; with `labels`, x counts them and points stand side by side."""

    key: str  # stable, used in URLs and file names
    title: str
    x_title: str  # with its unit
    unit: str  # of y
    definition: str
    source: str  # paper, year
    n_of: str  # what n counts
    series: tuple[Series, ...]
    labels: tuple[str, ...] = ()  # names of x = 0, 1, ...: conditions instead of numbers
    log_x: bool = False
    log_y: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        check_roles(self.key, [s.role for s in self.series], self.note)

    def one(self, name: str) -> Series:
        """The series of that name; raises KeyError with the names there are."""
        for series in self.series:
            if series.name == name:
                return series
        raise KeyError(
            f"no series {name!r} in {self.key}; there are {[s.name for s in self.series]}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Heat:
    """A number for every row and column; `nulls` are the same where the effect should be absent."""

    key: str
    title: str
    row_title: str
    column_title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    unit: str
    provenance: Provenance
    definition: str
    source: str
    value: Float[np.ndarray, "R C"]
    low: Float[np.ndarray, "R C"]  # 95 % interval; NaN: none, and the note says why
    high: Float[np.ndarray, "R C"]
    n: int
    n_of: str
    nulls: Mapping[str, Float[np.ndarray, "R C"]]
    signed: bool = False  # diverging colours about 0
    note: str = ""

    def __post_init__(self) -> None:
        check_roles(self.key, ["null"] * len(self.nulls), self.note)


@dataclass(frozen=True, eq=False, kw_only=True)
class Column:
    """A column of a table: words, or numbers with their unit."""

    title: str
    values: tuple[str, ...] | Float[np.ndarray, " N"]
    unit: str = ""  # of numbers
    provenance: Provenance | None = None  # of numbers; None: words, or a name such as a position

    def __post_init__(self) -> None:
        if isinstance(self.values, np.ndarray) and not self.unit:
            raise ValueError(f"column {self.title!r} holds numbers and names no unit")


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Rows that are no grid of heads, such as the largest activations. Nulls are columns too."""

    key: str
    title: str
    columns: tuple[Column, ...]
    definition: str
    source: str
    n: int
    n_of: str
    null: str  # which columns are nulls and intervals, or the reason why there are none

    def __post_init__(self) -> None:
        if len({len(c.values) for c in self.columns}) > 1:
            raise ValueError(f"columns of table {self.key!r} differ in length")


def check_roles(key: str, roles: Sequence[str], note: str) -> None:
    """Raise ValueError for an exhibit without null or check that doesn't say why."""
    if not note and not {"null", "check"} & set(roles):
        raise ValueError(
            f"exhibit {key!r} has no null and no check; add one or say why in its note"
        )


def array(raw: Sequence[float | None] | Sequence[Sequence[float | None]]) -> np.ndarray:
    """Floats back from JSON, NaN for null."""
    return np.array(raw, dtype=np.float64)


def series_from(raw: dict[str, Any]) -> Series:
    """A Series from parsed JSON."""
    found = {k: array(raw[k]) for k in ("x", "value", "low", "high")}
    return Series(**{**raw, **found, "n": np.array(raw["n"], dtype=np.int64)})


def curve_from(raw: dict[str, Any]) -> Curve:
    """A Curve from parsed JSON."""
    series = tuple(series_from(s) for s in raw["series"])
    return Curve(**{**raw, "series": series, "labels": tuple(raw["labels"])})


def heat_from(raw: dict[str, Any]) -> Heat:
    """A Heat from parsed JSON."""
    found = {k: array(raw[k]) for k in ("value", "low", "high")}
    nulls = {name: array(x) for name, x in raw["nulls"].items()}
    names = {k: tuple(raw[k]) for k in ("rows", "columns")}
    return Heat(**{**raw, **found, **names, "nulls": nulls})


def table_from(raw: dict[str, Any]) -> Table:
    """A Table from parsed JSON."""
    return Table(**{**raw, "columns": tuple(column_from(c) for c in raw["columns"])})


def column_from(raw: dict[str, Any]) -> Column:
    """A Column from parsed JSON: numbers have a unit."""
    values = array(raw["values"]) if raw["unit"] else tuple(raw["values"])
    return Column(**{**{f.name: raw[f.name] for f in fields(Column)}, "values": values})
