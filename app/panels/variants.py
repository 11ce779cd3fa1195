"""Variants page, piece by piece: what to compare, matrices, proofs, rows and costs."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.components.head_view import head_view, reads_no_later
from app.panels.exhibits import NARROW, exhibit
from app.panels.keep import keep
from app.plain import plain
from interp import variant_lines
from interp.printing import number
from interp.result import Result, Score
from interp.variants import DRAWS, LENGTHS, MOST, Report
from models.registry import VARIANTS
from models.table import matrix

FIRST = ("softmax", "sink_logit", "linear")
DEFAULTS = {"variants": ",".join(FIRST), "seed": "0", "tokens": "48", "head": "0"}
WIDE = 250  # pixels of a matrix; they wrap where the page is narrow


def query(name: str) -> str:
    """A parameter of this page's link, or its default."""
    return st.query_params.get(name, DEFAULTS[name])


def whole(name: str, low: int, high: int) -> int:
    """A whole number in the link; its default where it is none or out of range."""
    text = query(name)
    value = int(text) if re.fullmatch(r"\d{1,10}", text) else low - 1
    return value if low <= value <= high else int(DEFAULTS[name])


def remember(name: str, value: object) -> None:
    """Put a choice into the link; the default leaves it out."""
    if str(value) == DEFAULTS[name]:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = str(value)


def controls() -> dict[str, object]:
    """The sidebar; returns the fields of a VariantsRequest."""
    asked = [name for name in query("variants").split(",") if name]
    chosen = tuple(dict.fromkeys(n for n in asked if n in VARIANTS))[:MOST] or FIRST
    unknown = [name for name in asked if name not in VARIANTS]
    if unknown:
        st.warning(plain(f"This link names {unknown[0]!r}, and there is no such variant here."))
    seed, length = whole("seed", 0, 2**31 - 1), whole("tokens", *LENGTHS)
    st.session_state.update({"v_names": list(chosen), "v_seed": seed, "v_tokens": length})
    with st.sidebar:
        st.multiselect(
            f"Variants (two or more, at most {MOST})",
            list(VARIANTS),
            key="v_names",
            format_func=lambda name: VARIANTS[name].title,
            max_selections=MOST,
            on_change=lambda: remember("variants", ",".join(st.session_state["v_names"])),
        )
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key="v_seed",
            help="Of the weights and of the random input. The input of a seed is the same for "
            "every variant.",
            on_change=lambda: remember("seed", st.session_state["v_seed"]),
        )
        st.slider(
            "Tokens",
            *LENGTHS,
            key="v_tokens",
            help="Length of the random input.",
            on_change=lambda: remember("tokens", st.session_state["v_tokens"]),
        )
        st.caption(
            f"One layer of each, width 256, eight heads of 32, untrained, {DRAWS} draws of weights "
            "and input. Every variant is a file in models/attention and a line in the registry."
        )
    return {"names": chosen, "seed": seed, "length": length}


def answer(reports: Sequence[Report]) -> str:
    """Which variant is the most and which the least concentrated, and whether that separates."""
    found = sorted(
        ((r.result.figures[1], plain(r.title)) for r in reports), key=lambda f: f[0].value
    )
    (low, lowest), (high, highest) = found[0], found[-1]
    if len(reports) == 1:
        return (
            f"{lowest} rests on {number(low.value)} effective keys, of {number(low.null)} that a "
            "row sees on average."
        )
    apart = "their intervals separate" if low.high < high.low else "their intervals overlap"
    return (
        f"Of {number(low.null)} keys that a row sees on average, {lowest} rests on "
        f"{number(low.value)} and {highest} on {number(high.value)}: {apart} (n = {low.n} draws)."
    )


def pick_head(reports: Sequence[Report]) -> int:
    """Which head's matrix and rows are shown."""
    n = min(len(r.pattern) for r in reports)
    st.session_state["v_head"] = whole("head", 0, n - 1)
    st.segmented_control(
        "Head",
        range(n),
        key="v_head",
        format_func=lambda h: f"H{h}",
        required=True,
        on_change=lambda: remember("head", st.session_state["v_head"]),
    )
    return st.session_state["v_head"]


def matrices(reports: Sequence[Report], head: int) -> None:
    """The chosen seed's matrix of every variant, with its proof."""
    with st.container(horizontal=True, gap="medium"):
        for report in reports:
            with st.container(width=WIDE, key=f"of-variants-{report.name}"):
                picture(report, head)


def picture(report: Report, head: int) -> None:
    """One variant: title, matrix, and why to believe it."""
    st.markdown(f"**{plain(report.title)}**")
    pattern, traits = report.pattern[head], VARIANTS[report.name].traits
    st.caption(
        plain(matrix(traits))
        + (". Columns of one token are added up." if report.columns > 1 else ".")
    )
    head_view(
        key=f"matrix_{report.name}",
        label=f"{report.name} H{head}",
        pattern=pattern,
        tokens=[str(i) for i in range(len(pattern))],
        color_max=float(np.abs(pattern).max()),
        signed=not report.nonnegative,
        causal=reads_no_later(pattern),
        sink_slot=1 - pattern.sum(1) if traits.sink_slot else None,
        stride=1,
        pinned=None,
        on_pin=lambda: None,
    )
    proof = report.result.figures[0]
    st.caption(
        f"pattern·v = mix, largest difference {number(proof.value)} of the largest output "
        f"({proof.provenance}, n = {proof.n} {plain(proof.n_of)}; an identity, so there is no "
        "interval and no null). Tested against "
        f"{plain(report.reference)}, within {report.error:.0e}.",
        help=f"{proof.definition} {VARIANTS[report.name].paper}.",
    )
    kept = variant_lines.head_matrix(report, head)
    keep(f"variants-matrix-{report.name}", kept, kept.heats[0])


def misses(reports: Sequence[Report]) -> None:
    """How far the estimators among them are from what they estimate."""
    for report in reports:
        for figure in report.result.figures[2:]:
            st.caption(
                f"{plain(report.title)}: {figure.title.lower()}: **{number(figure.value)}** "
                f"{figure.unit} [{number(figure.low)}, {number(figure.high)}], n = {figure.n} "
                f"{plain(figure.n_of)} ({figure.provenance}).",
                help=figure.definition,
            )


def numbers(reports: Sequence[Report], head: int) -> None:
    """Row sum, S and effective keys of the chosen head, with interval, n and kind."""
    table = [
        {
            "variant": report.title,
            **{f"{s.title} ({s.unit})": words(s, head) for s in report.result.scores},
            "n": f"{report.result.scores[0].n[0, head]}",
            "kind": ", ".join(dict.fromkeys(s.provenance for s in report.result.scores)),
        }
        for report in reports
    ]
    first = reports[0].result
    uniform = {f"{s.title} ({s.unit})": number(s.uniform) for s in first.scores}
    table.append(
        {
            "variant": "uniform causal attention (closed form)",
            **uniform,
            "n": "–",
            "kind": "derived",
        }
    )
    st.markdown(f"##### What H{head} measures")
    kinds = "; ".join(f"{s.title}: {s.provenance}, {s.definition}" for s in first.scores)
    with st.container(key="of-variants-numbers"):
        st.table(pd.DataFrame(table).set_index("variant"))
        misses(reports)
        st.caption(
            f"In brackets: 95 % intervals; n: {first.scores[0].n_of}; the last row stands for a "
            f"null. {first.notes[0]}",
            help=kinds,
        )


def words(score: Score, head: int) -> str:
    """Value and interval of one head."""
    value, low, high = (float(x[0, head]) for x in (score.value, score.low, score.high))
    return f"{number(value)} [{number(low)}, {number(high)}]"


def rows(found: Result) -> None:
    """Row sums, S and effective keys row by row, of the chosen seed."""
    st.markdown("##### Row by row, this seed")
    with st.container(horizontal=True, gap="small"):
        for curve in found.curves[: len(variant_lines.ROWS)]:
            exhibit("variants", found, curve, NARROW)


def costs(reports: Sequence[Report], found: Result) -> None:
    """What a layer keeps and computes as the context grows."""
    st.markdown("##### What it costs")
    with st.container(horizontal=True, gap="small"):
        for curve in found.curves[len(variant_lines.ROWS) :]:
            exhibit("variants", found, curve, NARROW)
    parameters = ", ".join(f"{plain(r.title)} {r.costs.parameters:,}" for r in reports)
    with st.container(key="of-variants-costs"):
        st.caption(
            "Derived from each variant's formulas: no sample, so no n, no interval and no null. "
            "Tests count parameters, kept numbers and FLOPs (by torch's own counter) after them. "
            f"Parameters: {parameters}."
        )
    st.download_button(
        "Download numbers (JSON)",
        data=lambda: "[" + ",".join(r.result.to_json() for r in reports) + "]",
        file_name="headlamp-variants.json",
        mime="application/json",
        on_click="ignore",
    )
    keep("variants", [report.result for report in reports], words="Add all to dashboard")
