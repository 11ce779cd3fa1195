"""Numbers to altair charts; pure, no Streamlit. Axes carry their units."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd


def lines(
    series: Mapping[str, Sequence[float] | np.ndarray],
    x: Sequence[float] | np.ndarray,
    *,
    x_title: str,
    y_title: str,
    log: bool = False,
    log_x: bool = False,
    zero: bool = True,
    height: int = 220,
) -> alt.Chart:
    """One line per series over the same x; NaN leaves a gap.

    Both axes are logarithmic with `log`, the x axis alone with `log_x`.
    """
    frame = pd.DataFrame(
        [
            {"x": float(at), "y": float(value), "name": name}
            for name, values in series.items()
            for at, value in zip(x, values, strict=True)
            if np.isfinite(value)
        ]
    )
    log_x = log or log_x
    scale = alt.Scale(type="log", base=2) if log_x else alt.Scale(zero=False, nice=False)
    y_scale = alt.Scale(type="log") if log else alt.Scale(zero=zero)
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=14) if log else False)
        .encode(
            x=alt.X("x:Q", title=x_title, scale=scale, axis=alt.Axis(format=",d", tickCount=5)),
            y=alt.Y("y:Q", title=y_title, scale=y_scale, axis=alt.Axis(format="~s", tickCount=6)),
            color=alt.Color("name:N", title=None, sort=list(series)),
            tooltip=[
                alt.Tooltip("name:N", title="line"),
                alt.Tooltip("x:Q", title=x_title, format=",.6~g"),
                alt.Tooltip("y:Q", title=y_title, format=",.4~g"),
            ],
        )
        .properties(height=height + 20 * -(-len(series) // 2))
        .configure_legend(orient="bottom", columns=2, labelLimit=130)
    )
