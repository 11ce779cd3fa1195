"""Numbers to altair charts; pure, no Streamlit. Axes carry their units."""

import altair as alt
import numpy as np
import pandas as pd

from interp.exhibits import Curve, Series
from interp.printing import number

# Read on light and on dark ground; roles differ in dash and by their word in the legend too.
MEASURED = ("#228be6", "#e8590c", "#2f9e44", "#ae3ec9", "#e64980", "#0c8599", "#a66a2c", "#5c7cfa")
OTHERS = {
    "null": ("#868e96", "#a9927d", "#7d92a9", "#9a7da9"),
    "check": ("#12b886", "#82c91e", "#15aabf"),
    "theory": ("#f59f00", "#fd7e14", "#fab005", "#d6a35c"),
}
FEW_TICKS = 12  # points of an axis that each get a tick of their own
DASH = {"measured": [1, 0], "null": [5, 4], "check": [1, 3], "theory": [9, 3, 2, 3]}
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
POINTS = 1500  # points of a figure, at most; longer series are thinned
SIGNS = 10  # signs along a line that tell it from the others without colour
FEW = 24  # conditions that fit below each other
SHORT = 27  # characters of names that stand side by side in a legend


def curve(shown: Curve, mark: float | None = None) -> alt.LayerChart:
    """A Curve: lines with bands of their intervals, or with `labels` points with error bars.

    `mark` is an x that a line stands at.
    """
    frame = points(shown)
    if shown.labels:
        chart = conditions(shown, frame)
    else:
        chart = bands(shown, frame, mark)
    return chart.configure_legend(
        orient="bottom",
        columns=legend_columns(shown),
        labelLimit=400 // legend_columns(shown) - 20,
        symbolSize=60,
        symbolOpacity=1,
    ).configure_axis(titleLimit=420)


def name_of(series: Series) -> str:
    """What the legend calls a line: a null says that it is one."""
    return series.name if series.role == "measured" else f"{series.name} · {series.role}"


def points(shown: Curve) -> pd.DataFrame:
    """One row for each point that is drawn; what is not finite is left out."""
    rows = []
    step = max(1, -(-sum(len(s.x) for s in shown.series) // POINTS))
    for series in shown.series:
        there = np.flatnonzero(np.isfinite(series.value) & np.isfinite(series.x))
        kept = [i for k, i in enumerate(there) if k % step == 0 or k == len(there) - 1]
        signs = evenly(series.x[kept], shown.log_x)
        for k, i in enumerate(kept):
            low, high = float(series.low[i]), float(series.high[i])
            bounded = np.isfinite(low) and np.isfinite(high)
            rows.append(
                {
                    "line": name_of(series),
                    "role": series.role,
                    "x": float(series.x[i]),
                    "at": shown.labels[int(series.x[i])] if shown.labels else "",
                    "value": float(series.value[i]),
                    "low": low if bounded else None,
                    "high": high if bounded else None,
                    "interval": f"{number(low)} to {number(high)}" if bounded else "none, see note",
                    "n": int(series.n[i]),
                    "kind": series.provenance,
                    "sign": k in signs,
                }
            )
    columns = "line role x at value low high interval n kind sign".split()
    return pd.DataFrame(rows, columns=columns)


def evenly(x: np.ndarray, log: bool) -> set[int]:
    """Which of a line's points carry its sign: SIGNS of them, evenly along the axis."""
    if len(x) <= SIGNS:
        return set(range(len(x)))
    place = np.log(np.maximum(x, 1e-12)) if log and x.min() > 0 else x
    targets = np.linspace(place.min(), place.max(), SIGNS)
    return {int(np.abs(place - target).argmin()) for target in targets}


def palette(shown: Curve) -> dict[str, str]:
    """A colour for every line, by its role."""
    used: dict[str, int] = {}
    colours = {}
    for series in shown.series:
        choice = MEASURED if series.role == "measured" else OTHERS[series.role]
        at = used.get(series.role, 0)
        colours[name_of(series)] = choice[at % len(choice)]
        used[series.role] = at + 1
    return colours


def coloured(shown: Curve) -> alt.Color:
    """Colour by line."""
    colours = palette(shown)
    return alt.Color(
        "line:N",
        title=None,
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(symbolOpacity=1) if len(colours) > 1 else None,
    )


def signed(shown: Curve) -> alt.Shape:
    """The sign of each line."""
    names = [name_of(s) for s in shown.series]
    signs = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    scale = alt.Scale(domain=names, range=signs)
    return alt.Shape(
        "line:N", title=None, scale=scale, legend=alt.Legend() if len(names) > 1 else None
    )


def tips(shown: Curve) -> list[alt.Tooltip]:
    """What a point says of itself."""
    at = (
        alt.Tooltip("at:N", title=shown.x_title or "condition")
        if shown.labels
        else alt.Tooltip("x:Q", title=shown.x_title, format=",.6~g")
    )
    return [
        alt.Tooltip("line:N", title="line"),
        at,
        alt.Tooltip("value:Q", title=shown.unit, format=",.4~g"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title=f"n ({shown.n_of})", format=",d"),
        alt.Tooltip("kind:N", title="kind"),
    ]


def x_axis(x: np.ndarray, log: bool) -> alt.Axis:
    """Ticks where a few points of a logarithmic axis are, else where they fall."""
    points = np.unique(x)
    if log and 1 < len(points) <= FEW_TICKS:
        return alt.Axis(values=points.tolist(), format="~g", labelOverlap=True)
    return alt.Axis(format="~s", tickCount=6, labelOverlap=True)


def bands(shown: Curve, frame: pd.DataFrame, mark: float | None = None) -> alt.LayerChart:
    """Lines over numbers, each with the band of its 95 % interval; `mark` as in `curve`."""
    kind = "linear"
    if shown.log_x and len(frame):
        kind = "log" if frame["x"].min() > 0 else "symlog"
    x = alt.X(
        "x:Q",
        title=shown.x_title,
        scale=alt.Scale(type=kind, zero=False, nice=False, padding=8),
        axis=x_axis(frame["x"].to_numpy(), shown.log_x),
    )
    y = alt.Y(
        "value:Q",
        title=shown.unit,
        scale=alt.Scale(type="log", nice=False) if shown.log_y else alt.Scale(zero=False),
        axis=alt.Axis(format="~s", tickCount=6) if shown.log_y else alt.Axis(),
    )
    base = alt.Chart(frame).encode(x=x)
    band = (
        base.transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.16)
        .encode(
            y=alt.Y("low:Q", title=shown.unit),
            y2="high:Q",
            color=coloured(shown),
        )
    )
    line = base.mark_line(strokeWidth=2).encode(
        y=y,
        color=coloured(shown),
        strokeDash=alt.StrokeDash(
            "role:N",
            scale=alt.Scale(domain=list(DASH), range=list(DASH.values())),
            legend=None,
        ),
    )
    sign = (
        base.transform_filter("datum.sign")
        .mark_point(size=46, filled=True, opacity=1)
        .encode(y=y, color=coloured(shown), shape=signed(shown))
    )
    hit = base.mark_point(size=110, opacity=0, filled=True).encode(y=y, tooltip=tips(shown))
    layers = [band, line, sign, hit]
    if mark is not None:
        rule = alt.Chart(pd.DataFrame([{"x": mark}])).mark_rule(strokeWidth=2, color="#868e96")
        layers.insert(0, rule.encode(x=x))
    return alt.layer(*layers).properties(height=230 + legend_height(shown))


def conditions(shown: Curve, frame: pd.DataFrame) -> alt.LayerChart:
    """Points with error bars, a row (or with many conditions a column) for each condition; with
    bars from 0 where 0 is in sight.
    """
    upright = len(shown.labels) > FEW
    order = list(dict.fromkeys(shown.labels))
    if upright:
        axis = alt.Axis(labelAngle=-60, labelOverlap=True)
        at = alt.X("at:N", sort=order, title=shown.x_title, axis=axis)
    else:
        at = alt.Y(
            "at:N", sort=order, title=None, axis=alt.Axis(labelLimit=190, labelOverlap=False)
        )
    across, end = (alt.Y, alt.Y2) if upright else (alt.X, alt.X2)
    names = [name_of(s) for s in shown.series]
    beside = (alt.XOffset if upright else alt.YOffset)("line:N", sort=names)
    place = {"x" if upright else "y": at, "xOffset" if upright else "yOffset": beside}
    plain = {"title": shown.unit, "scale": alt.Scale(zero=False), "axis": alt.Axis(tickCount=6)}
    low, value = across("low:Q", **plain), across("value:Q", **plain)
    y, y2 = ("y", "y2") if upright else ("x", "x2")
    base = alt.Chart(frame).encode(**place)
    bar = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2)
        .encode(**{y: low, y2: end("high:Q"), "color": coloured(shown)})
    )
    dot = base.mark_point(size=60, filled=True, opacity=1).encode(
        **{y: value, "color": coloured(shown)},
        shape=signed(shown),
        tooltip=tips(shown),
    )
    layers = [bar, dot]
    if has_zero(frame):
        zero = (alt.Y2Datum if upright else alt.X2Datum)(0)
        stem = base.mark_bar(opacity=0.3).encode(
            **{y: value, y2: zero, "color": coloured(shown)}, tooltip=tips(shown)
        )
        layers.insert(0, stem)
    tall = 260 if upright else max(110, len(order) * max(30, 16 * len(names)))
    return alt.layer(*layers).properties(height=tall + legend_height(shown))


def has_zero(frame: pd.DataFrame) -> bool:
    """Whether 0 lies between the ends of what is drawn, or near enough to be drawn too."""
    ends = pd.concat([frame[name].dropna().astype(float) for name in ("value", "low", "high")])
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (1.0, 1.0)
    return low <= high / 2 if low > 0 else low <= 0 <= high


def legend_columns(shown: Curve) -> int:
    """Two names side by side where they are short."""
    longest = max((len(name_of(s)) for s in shown.series), default=0)
    return 2 if longest <= SHORT else 1


def legend_height(shown: Curve) -> int:
    """Pixels below the axes for titles and the legend."""
    rows = -(-len(shown.series) // legend_columns(shown)) if len(shown.series) > 1 else 0
    return 50 + 26 * rows
