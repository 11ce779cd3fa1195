"""Scatter of heads: any two metrics as axes and a third as colour, brushed to a list."""

from functools import partial

import pandas as pd
import streamlit as st

from app import charts_heads, state, tables
from app.charts_heads import head_frame, inside
from app.downloads import written
from app.export.formats import Maker, of_result
from app.export.pictures import DRAWN, Caption, drawn
from app.export.words import origin, score_words
from app.kinds import KINDS
from app.panels.files import files
from app.panels.keep import keep
from app.plain import plain
from app.state import AXES, Selection
from interp.many_tests import Threshold
from interp.result import Result, Score

TITLES = {"x": "Across", "y": "Up", "colour": "Colour"}


def named(results: dict[str, Result]) -> dict[str, Score]:
    """Every score by its key; a study's has its name in front where another has that key."""
    found: dict[str, Score] = {}
    for name, result in results.items():
        for score in result.scores:
            found[score.key if score.key not in found else f"{name}.{score.key}"] = score
    return found


def chosen(selection: Selection, scores: dict[str, Score]) -> dict[str, Score]:
    """The link's metrics, and in place of those that are not here the first that there is."""
    rest = list(scores)
    return {
        axis: scores.get(getattr(selection, axis)) or scores.get(AXES[axis]) or scores[rest[0]]
        for axis in AXES
    }


def missing(selection: Selection, scores: dict[str, Score]) -> list[str]:
    """Metrics of the link that are not here."""
    return [name for axis in AXES if (name := getattr(selection, axis)) not in scores]


def metric_controls(selection: Selection, scores: dict[str, Score]) -> None:
    """Which metrics, and what is drawn beside the heads."""
    shown = chosen(selection, scores)
    names = {id(score): name for name, score in scores.items()}
    columns = st.columns(3)
    for column, (axis, title) in zip(columns, TITLES.items(), strict=True):
        st.session_state[f"axis_{axis}"] = names[id(shown[axis])]
        column.selectbox(
            title,
            list(scores),
            key=f"axis_{axis}",
            format_func=lambda name: scores[name].title + (f" ({name})" if "." in name else ""),
            on_change=pick_metric,
            args=(axis,),
        )
    with st.container(horizontal=True):
        for field, title, words in (
            ("cloud", "Nulls", "Each head's null, small and hollow: the random-init twin."),
            ("bars", "Intervals", "95 % intervals of every head as bars."),
        ):
            st.session_state[f"scatter_{field}"] = getattr(selection, field)
            st.toggle(title, key=f"scatter_{field}", help=words, on_change=flip, args=(field,))


def pick_metric(axis: str) -> None:
    """Another metric on an axis; what was brushed lies elsewhere then."""
    renew()
    state.change(brush=None, **{axis: st.session_state[f"axis_{axis}"]})


def flip(field: str) -> None:
    """A switch was flipped."""
    state.change(**{field: st.session_state[f"scatter_{field}"]})


def renew() -> None:
    """A fresh chart next time, with nothing brushed or clicked in it."""
    st.session_state["scatter_round"] = st.session_state.get("scatter_round", 0) + 1


def draw(selection: Selection, scores: dict[str, Score], here: tuple[int, int]) -> pd.DataFrame:
    """The chart; returns the heads that have a place in it."""
    frame = head_frame(scores)
    key = f"scatter_{st.session_state.setdefault('scatter_round', 0)}"
    brushing = bool(rectangle(key))  # then the chart draws the rectangle itself
    chart = charts_heads.scatter(
        frame,
        scores,
        cloud=selection.cloud,
        bars=selection.bars,
        part=None if brushing else selection.brush,
        here=here,
    )
    st.altair_chart(
        chart,
        key=key,
        width="stretch",
        on_select=lambda: picked(key),
        selection_mode=["brush", "head"],
    )
    return frame


def rectangle(key: str) -> dict[str, list[float]]:
    """What is brushed in the chart right now."""
    event = st.session_state.get(key)
    return dict(event.selection.get("brush", {})) if event else {}


def picked(key: str) -> None:
    """Something was brushed, or a point clicked: the point's card opens."""
    points = st.session_state[key].selection.get("head", [])
    if points:
        renew()
        state.change(card=(int(points[0]["layer"]), int(points[0]["number"])))
        return
    ends = rectangle(key)
    part = (*sorted(ends["x"]), *sorted(ends["y"])) if {"x", "y"} <= ends.keys() else None
    state.change(brush=part)


def listing(
    selection: Selection,
    frame: pd.DataFrame,
    scores: dict[str, Score],
    threshold: Threshold | None,
) -> None:
    """The heads inside the brushed part, with all three metrics; a row opens the head's card."""
    if selection.brush is None:
        st.caption(
            "Drag over the chart to list the heads inside, with 95 % intervals, nulls and n; click "
            "a point for its card."
        )
        return
    found = inside(frame, selection.brush)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"##### {len(found)} of {len(frame)} heads inside", width="content")
        st.button("Clear", key="scatter_clear", on_click=clear)
    if found.empty:
        st.caption("No head lies there.")
        return
    places = list(zip(found["layer"].tolist(), found["number"].tolist(), strict=True))
    ranked = sorted(places, key=scores["x"].ranking().index)
    rows = tables.listed(scores, ranked, threshold)
    st.dataframe(
        rows,
        key="scatter_rows",
        hide_index=True,
        width="stretch",
        selection_mode="single-row",
        on_select=lambda: row_picked(ranked),
        column_config={"head": st.column_config.Column(pinned=True)}
        | {
            name: st.column_config.NumberColumn(format="%.3g")
            for name in rows.columns
            if rows[name].dtype == float
        },
    )
    st.caption(
        "Of each metric: value, 95 % interval, null with its own interval, n, rank among all heads "
        "and verdict. Pick a row for the head's card; in the chart, a double click clears."
    )


def clear() -> None:
    """List nothing."""
    renew()
    state.change(brush=None)


def row_picked(places: list[tuple[int, int]]) -> None:
    """A row was picked."""
    rows = st.session_state["scatter_rows"].selection.rows
    if rows:
        state.change(card=places[rows[0]])


def captions(scores: dict[str, Score], frame: pd.DataFrame, selection: Selection) -> None:
    """What is drawn, and of how many heads."""
    every = scores["x"].value.size
    gone = f" {every - len(frame)} of {every} heads have no place: a metric is not defined there."
    nulls = {n.name for s in (scores["x"], scores["y"]) if (n := charts_heads.null_of(s))}
    cloud = (
        f" Small hollow marks: the same heads in the {plain(' and '.join(sorted(nulls)))}."
        if selection.cloud and nulls
        else " No null has been measured yet."
        if selection.cloud
        else ""
    )
    st.caption(
        f"n = {len(frame)} heads.{gone if len(frame) < every else ''}{cloud} The ring marks the "
        "head the other pages look at. Each point's intervals, n and nulls are in its tooltip."
    )


def definitions(scores: dict[str, Score]) -> None:
    """What each metric is, one click away."""
    with st.popover("Definitions", type="tertiary", icon=":material/menu_book:"):
        for score in {id(s): s for s in scores.values()}.values():
            st.markdown(
                f"**{plain(score.title)}** ({plain(score.unit)}; {score.provenance}: "
                f"{KINDS[score.provenance]}). {plain(score.definition)} "
                f"{plain(score.source)}. n: {plain(score.n_of)}."
            )


def downloads(
    result: Result,
    frame: pd.DataFrame,
    scores: dict[str, Score],
    selection: Selection,
    here: tuple[int, int],
) -> None:
    """All heads that are drawn as CSV, their picture, and the whole Result as data."""
    makers: dict[str, Maker] = of_result(result)
    makers |= {"csv": lambda: written(headers(frame, scores), frame.itertuples(index=False))}
    makers |= {
        kind: partial(picture, kind, result, frame, scores, selection, here) for kind in DRAWN
    }
    with st.container(horizontal=True, key="scatter_data"):
        definitions(scores)
        files("heads", makers)
        keep("heads", result, words="Add all to dashboard")


def headers(frame: pd.DataFrame, scores: dict[str, Score]) -> list[str]:
    """Columns of the sheet: an axis is named after its metric."""
    header = {axis: charts_heads.titled(score) for axis, score in scores.items()}
    return [
        next(
            (name.replace(axis, header[axis], 1) for axis in header if name.split("_")[0] == axis),
            name,
        )
        for name in frame.columns
    ]


def picture(
    kind: str,
    result: Result,
    frame: pd.DataFrame,
    scores: dict[str, Score],
    selection: Selection,
    here: tuple[int, int],
) -> bytes | str:
    """The plane as a file, with what its axes mean."""
    chart = charts_heads.scatter(
        frame, scores, cloud=selection.cloud, bars=selection.bars, part=None, here=here
    )
    told = {id(s): s for s in scores.values()}.values()
    said = Caption(
        " against ".join(s.title for s in (scores["y"], scores["x"])),
        (
            f"n = {len(frame)} heads. {result.answer}",
            *(f"{s.title} ({s.unit}): {score_words(s)} {s.definition} {s.source}." for s in told),
            f"{origin(result)}.",
        ),
    )
    return drawn(kind, chart, said)
