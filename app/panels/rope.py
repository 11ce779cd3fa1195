"""RoPE page, piece by piece: the curve of a base, the table of bounds, distances by method."""

import re
from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from app.engine_room import PATIENCE, Answer, ask
from app.export.formats import of_result
from app.export.parts import FIGURES
from app.panels.exhibits import exhibit
from app.panels.figures import figures
from app.panels.files import files
from app.panels.keep import keep
from app.plain import plain
from app.render import distances_png
from interp import rope
from interp.printing import number
from interp.subject import Refused
from models.positions.relative import METHODS, Setting
from models.rope_bound import TABLE, asymptotic_base

DEFAULTS = {"base": "10000", "width": "128", "turned": "100"}
SIZE = 175  # pixels of a matrix
LONG = (rope.SLOW // 2, rope.SLOW)  # contexts that are searched only when asked


def query(name: str) -> str:
    """A parameter of this page's link, or its default."""
    return st.query_params.get(name, DEFAULTS[name])


def remember(name: str, key: str) -> None:
    """Put a widget's choice into the link; the default leaves it out."""
    value = f"{st.session_state[key]:g}"
    if value == DEFAULTS[name]:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value


def request() -> rope.CurveRequest:
    """The curve of this link; raises Refused for a link that makes no sense."""
    try:
        base, width, turned = (float(query(name)) for name in DEFAULTS)
    except ValueError:
        raise Refused(f"This link holds no numbers: {dict(st.query_params)}.") from None
    if not (width == int(max(min(width, 1e6), -1e6)) and 0 < turned <= 100):
        raise Refused(
            f"A width is a whole number and a share is in percent; got {width}, {turned}."
        )
    return rope.CurveRequest(
        base=base, d_head=int(width), rotated=max(4, 2 * round(width * turned / 200))
    )


def controls() -> None:
    """The sidebar: base, width, and how much of a head turns."""
    numbers = {}
    for name, fallback in DEFAULTS.items():
        sane = re.fullmatch(r"[\d.]{1,14}(e\+?\d{1,2})?", query(name))
        try:
            numbers[name] = float(query(name)) if sane else float(fallback)
        except ValueError:
            numbers[name] = float(fallback)
    widths, shares = [32, 64, 80, 96, 128, 256], [25, 50, 75, 100]
    st.session_state["r_base"] = min(max(numbers["base"], 1.001), 1e12)
    st.session_state["r_width"] = min(widths, key=lambda w: abs(w - numbers["width"]))
    st.session_state["r_turned"] = min(shares, key=lambda s: abs(s - numbers["turned"]))
    with st.sidebar:
        st.number_input(
            "RoPE base",
            1.001,
            1e12,
            key="r_base",
            format="%g",
            help="θ_i = base^(-2i/d): 10,000 in Llama 2, 500,000 in Llama 3.",
            on_change=remember,
            args=("base", "r_base"),
        )
        st.select_slider(
            "Head width", widths, key="r_width", on_change=remember, args=("width", "r_width")
        )
        st.select_slider(
            "Share that turns",
            shares,
            key="r_turned",
            format_func=lambda s: f"{s} %",
            help="Partial RoPE: the other dims are the same at every position.",
            on_change=remember,
            args=("turned", "r_turned"),
        )


def answer(report: rope.CurveReport, asked: rope.CurveRequest) -> str:
    """How far the base reaches."""
    what = f"Base {asked.base:,.6g} at head width {asked.d_head}"
    if asked.rotated < asked.d_head:
        what += f", {asked.rotated} of them turning,"
    if report.reach is None:
        return f"{what} serves {rope.LONGEST:,} tokens and more: f(m) is not negative before."
    return f"{what} serves {report.reach:,} tokens: there f(m) first goes below zero."


def picture(report: rope.CurveReport) -> None:
    """f_b(m) against the distance."""
    exhibit("rope", report.result, report.result.curves[0])
    with st.expander("Numbers"):
        figures(report.result)


def bounds(report: rope.CurveReport) -> list[Answer]:
    """Published lowest bases, those found here, and the chosen base's least f(m)."""
    st.markdown("##### Lowest base for a context, head width 128")
    every = st.session_state.get("r_long", False)
    least = {f.key: f.value for f in report.result.figures}
    waiting, table, searched = [], [], []
    for row in TABLE:
        found = "–"
        if row.length <= rope.QUICK or (every and row.length in LONG):
            reply = ask(rope.bound_work(row.length), f"bound {row.length}", PATIENCE / 4)
            found = f"{reply.result.figures[0].value:.3g}" if reply.result else "on its way"
            waiting += [reply] if reply.pending else []
            searched += [reply.result] if reply.result else []
        minimum = least.get(f"minimum_{row.length}")
        table.append(
            {
                "context (tokens)": f"{row.length:,}",
                "paper": f"{row.paper:.1e}",
                "blog, finer search": f"{row.blog:.1e}",
                "found here": found,
                "L / 0.6165": number(asymptotic_base(row.length)),
                "least f(m) of the base above": "–" if minimum is None else number(minimum),
            }
        )
    st.table(pd.DataFrame(table).set_index("context (tokens)"))
    if searched:
        keep("rope-bounds", searched, FIGURES, "Add all found here to dashboard")
    st.caption(
        "paper: arXiv 2405.14591; blog: kexue.fm/archives/10122. A higher base may fail again: "
        "f is not monotone in the base. Derived, no sample: no n, no interval, no null."
    )
    if not every:
        st.button(
            f"Search up to {rope.SLOW:,} tokens too (about half a minute)",
            on_click=lambda: st.session_state.update(r_long=True),
        )
    return waiting


def setting() -> Setting:
    """What the methods are told, from four sliders."""
    columns = st.columns(5)
    return Setting(
        length=64,
        trained=columns[0].slider("Trained on (tokens)", 8, 64, 32),
        factor=columns[1].slider("Factor", 1.0, 8.0, 4.0, 0.5),
        window=columns[2].slider("Window (tokens)", 1, 48, 16),
        group=columns[3].slider("Group (tokens)", 1, 16, 4),
        sinks=columns[4].slider("First keys kept", 0, 16, 4),
    )


def pair_of(asked: rope.CurveRequest) -> int:
    """The pair of dims whose angle is read."""
    last = asked.rotated // 2 - 1
    pairs = {"slowest": last, "middle": last // 2, "fastest": 0}
    name = st.segmented_control(
        "Seen by the pair of dims that turns",
        list(pairs),
        default="slowest",
        key="r_pair",
        required=True,
        help="Methods that change frequencies do it pair by pair: NTK and YaRN slow the slow pairs "
        "down and leave the fast ones alone.",
    )
    return pairs[name or "slowest"]


def methods(asked: rope.CurveRequest) -> None:
    """Every method's relative-position matrix."""
    st.markdown("##### How far each key seems, by method")
    chosen = setting()
    request = rope.DistancesRequest(rope=asked, setting=chosen, pair=pair_of(asked))
    found = rope.distances(request)
    most = float(chosen.length - 1)
    with st.container(horizontal=True, gap="medium"):
        for heat in found.heats:
            method = METHODS[heat.key]
            with st.container(width=SIZE):
                st.markdown(f"**{plain(method.title)}**")
                st.image(distances_png(heat.value, chosen.trained - 1, most), width=SIZE)
                st.caption(
                    f"{plain(method.line)}. Largest: {number(float(np.nanmax(heat.value)))} "
                    "tokens.",
                    help=f"{method.paper}. Reads: {', '.join(method.reads) or 'nothing more'}.",
                )
                keep(f"rope-distances-{heat.key}", found, heat)
    st.caption(
        "Rows are queries, columns keys, top left is token 0. The distance is the angle between "
        "query and key in this pair, in tokens of plain RoPE. Blue: met in training; orange: "
        "further than any met; grey: not seen. Derived by formula, no sample: no n, no interval, "
        "no null. Settings: "
        f"{plain(str(asdict(chosen)))}."
    )
    with st.container(horizontal=True, gap="small"):
        files("rope-distances", of_result(found), "All distances")
        keep("rope-distances", found, words="Add all to dashboard")
