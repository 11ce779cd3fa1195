"""Model-wide numbers of a Result, each with interval, n, null and kind."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.export.formats import of_figures
from app.export.parts import FIGURES
from app.panels.files import files
from app.panels.keep import keep
from app.plain import plain
from interp.printing import number
from interp.result import Figure, Result


def figures(result: Result, owner: str = "") -> None:
    """Model-wide numbers of a result as a table, with reasons, definitions and data.

    `owner` names the study that a page shows them for; without it the result's probe does.
    """
    if not result.figures:
        return
    owner = owner or result.probe
    with st.container(key=f"of-{owner}-figures", gap="xsmall"):
        st.table(figure_table(result.figures))
        kinds = ", ".join(dict.fromkeys(f.provenance for f in result.figures))
        reasons = [f"{f.title}: {f.note}" for f in result.figures if f.note]
        st.caption(f"In brackets: 95 % intervals ({kinds}). {plain(' '.join(reasons))}")
        with st.container(horizontal=True, gap="small"):
            with st.popover("Definitions and data", type="tertiary", icon=":material/menu_book:"):
                for figure in result.figures:
                    st.markdown(f"**{plain(figure.title)}.** {plain(figure.definition)}")
                files(f"{owner}-figures", of_figures(result, result.figures))
            keep(f"{owner}-figures", result, FIGURES)


def figure_table(figures: Sequence[Figure]) -> pd.DataFrame:
    """A row for each figure."""
    rows = [
        {
            "what": plain(f.title),
            "value [95 %]": ranged(f.value, f.low, f.high),
            "unit": plain(f.unit),
            "n": f"{f.n:,} {plain(f.n_of)}",
            "null [95 %]": null_words(f),
        }
        for f in figures
    ]
    return pd.DataFrame(rows).set_index("what")


def null_words(figure: Figure) -> str:
    """The null by name, with its own interval."""
    if figure.null is None:
        return "none"
    return f"{plain(figure.null_name)} {ranged(figure.null, figure.null_low, figure.null_high)}"


def ranged(value: float, low: float, high: float) -> str:
    """A number with its interval, where it has one."""
    if np.isnan(value) or np.isnan(low) or np.isnan(high):
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"
