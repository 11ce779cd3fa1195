"""Probes: the strongest heads of each, its definition, its figures and its data."""

import re

import pandas as pd
import streamlit as st

from app import state, tables
from app.export.formats import of_result
from app.panels.figures import figures
from app.panels.files import files
from app.panels.keep import keep
from app.panels.scripts import script_of
from app.plain import plain
from app.scene import Scene
from interp.many_tests import Threshold
from interp.registry import PROBES
from interp.result import Result


def probe_tables(scene: Scene, threshold: Threshold | None = None) -> None:
    """The strongest heads of one probe at a time; picking a row opens the head."""
    first = next(iter(PROBES))
    name = (
        st.segmented_control(
            "Probe",
            list(PROBES),
            default=first,
            key="probe",
            format_func=lambda n: PROBES[n].title,
            required=True,
        )
        or first
    )
    probe = PROBES[name]
    if name in scene.refusals:
        st.info(plain(scene.refusals[name]))
    if name in scene.results:
        score = scene.results[name].scores[0]
        with st.container(key=f"of-{name}-{score.key}"):
            st.markdown(f"**{probe.question}** {plain(tables.answer(score, threshold))}")
            probe_table(name, scene.results[name], threshold)
    elif name not in scene.refusals:
        st.caption(f"{probe.question} Not measured yet.")


def probe_table(name: str, result: Result, threshold: Threshold | None) -> None:
    """One probe's table, its definition and its data."""
    score = result.scores[0]
    frame = tables.top_heads(score, 10, threshold)
    st.dataframe(
        frame,
        key=f"top_{name}",
        hide_index=True,
        width="stretch",
        on_select=lambda: row_picked(name, frame),
        selection_mode="single-row",
        column_config={
            column: st.column_config.NumberColumn(format="%.3g")
            for column in frame.columns
            if frame[column].dtype == float
        },
    )
    st.caption(
        f"{score.definition} {score.unit}; n: {score.n_of}; columns name the 95 % interval and "
        f"every null. {score.source}."
    )
    figures(result)
    for note in (*result.notes, score.note):
        if note:
            st.caption(note)
    with st.container(horizontal=True, gap="small"):
        files(name, of_result(result) | script_of(result), "All numbers")
        keep(f"{name}-{score.key}", result, score)
        keep(name, result, words="Add all to dashboard")


def row_picked(name: str, frame: pd.DataFrame) -> None:
    """A row of a probe's table was selected."""
    rows = st.session_state[f"top_{name}"].selection.rows
    if rows:
        layer, head = re.fullmatch(r"L(\d+)H(\d+)", frame["head"].iloc[rows[0]]).groups()
        state.change(layer=int(layer), head=int(head))
