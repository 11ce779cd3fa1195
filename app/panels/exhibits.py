"""One exhibit of a Result: its picture, n, interval, null and kind, its definition and its data."""

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, heatmaps
from app.downloads import Exhibit, headed
from app.export.formats import of_exhibit
from app.export.words import kinds_of, words
from app.kinds import KINDS
from app.panels.files import files
from app.panels.keep import keep
from app.plain import plain
from interp.exhibits import Curve, Heat, Table
from interp.result import Result

NARROW = 395  # pixels of an exhibit: two stand side by side in a window of 1280
SHORT = 16  # characters of a condition's name in a narrow picture
FEW_COLUMNS = 24  # of a heat map that is narrow


def exhibit(
    owner: str,
    result: Result,
    shown: Exhibit,
    width: int | str = "stretch",
    mark: float | None = None,
) -> None:
    """An exhibit in a container of its own, named after what it belongs to; `mark` is an x of a
    curve that a line stands at.
    """
    with st.container(key=f"of-{owner}-{shown.key}", width=width, gap="xsmall"):
        st.markdown(f"**{plain(shown.title)}**")
        if isinstance(shown, Table):
            table(owner, shown)
        else:
            chart = charts.curve(shown, mark) if isinstance(shown, Curve) else heatmaps.heat(shown)
            st.altair_chart(chart, width="stretch", alt=f"{shown.title} {words(shown)}")
        st.caption(plain(words(shown)))
        definition(owner, result, shown)


def is_narrow(shown: Exhibit) -> bool:
    """Others may stand beside it."""
    if isinstance(shown, Curve):
        return len(shown.labels) <= charts.FEW and max(map(len, shown.labels), default=0) <= SHORT
    return isinstance(shown, Heat) and len(shown.columns) <= FEW_COLUMNS


def table(owner: str, shown: Table) -> None:
    """Rows to sort and scroll; units stand in the headers."""
    frame = pd.DataFrame({headed(c.title, c.unit): c.values for c in shown.columns})
    formats = {
        name: st.column_config.NumberColumn(format=number_format(frame[name].to_numpy()))
        for name in frame.columns
        if frame[name].dtype.kind == "f"
    }
    st.dataframe(
        frame,
        key=f"table-{owner}-{shown.key}",
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * max(1, len(frame)), 390),
        column_config=formats,
        alt=f"{shown.title}: {len(frame)} rows",
    )


def number_format(values: np.ndarray) -> str:
    """Whole numbers without a point, others with three digits that count."""
    there = values[np.isfinite(values)]
    whole = there.size and np.all(there == np.round(there)) and np.abs(there).max() < 1e9
    return "%.0f" if whole else "%.3g"


def definition(owner: str, result: Result, shown: Exhibit) -> None:
    """What it is, whose definition it is, and its data; one click away."""
    with st.container(horizontal=True, gap="small"):
        with st.popover("Definition and data", type="tertiary", icon=":material/menu_book:"):
            st.markdown(plain(shown.definition))
            st.caption(f"{plain(shown.source)}")
            for kind in kinds_of(shown):
                st.caption(f"{kind}: {KINDS[kind]}.")
            files(f"{owner}-{shown.key}", of_exhibit(result, shown))
        keep(f"{owner}-{shown.key}", result, shown)
