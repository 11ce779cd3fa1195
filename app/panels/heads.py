"""Heads: the grid of all of them, the matrix of one, its numbers, and what ablating it does."""

import numpy as np
import streamlit as st
from jaxtyping import Float

from app import state, tables
from app.components.head_grid import head_grid
from app.components.head_view import head_view, reads_no_later
from app.engine_room import PATIENCE, ask
from app.export.matrices import of_matrix
from app.kinds import KINDS
from app.panels.figures import figures
from app.panels.files import files
from app.panels.keep import keep
from app.panels.long_head import long_head, pinned
from app.panels.wide_table import wide_table
from app.plain import plain
from app.scene import Scene, subject_of
from app.state import Selection
from interp.engine.works import WHOLE, ablation_work
from interp.many_tests import RULES, SOURCES, Threshold
from interp.matrices import matrix_result, pooled
from interp.result import Score
from interp.subject import Card

RATES = (0.01, 0.05, 0.1)  # false discovery rates to choose from
PIXELS = 1024  # a longer matrix is shown max-pooled to this many rows
KEPT = 256  # tokens of a matrix that a dashboard keeps, at most: 2 MB


def metric_scores(scene: Scene) -> dict[str, Score]:
    """Every score there is, by key."""
    return {s.key: s for result in scene.results.values() for s in result.scores}


def threshold(selection: Selection) -> Threshold | None:
    """What the link holds verdicts to."""
    return None if selection.fdr is None else Threshold(selection.fdr, selection.rule)


def fdr_control(selection: Selection) -> Threshold | None:
    """Choose what verdicts of all heads are held to; returns it."""
    choices = {"off": None} | {f"{q:g} {rule}": Threshold(q, rule) for rule in RULES for q in RATES}
    now = threshold(selection)
    key = "off" if now is None else f"{now.q:g} {now.rule}"
    choices.setdefault(key, now)
    st.session_state["fdr"] = key

    def chosen() -> None:
        kept = choices[st.session_state["fdr"]]
        state.change(fdr=kept and kept.q, rule=kept.rule if kept else "BH")

    def words(key: str) -> str:
        kept = choices[key]
        return f"{kept.q:g}, {RULES[kept.rule]}" if kept else "None: 95 % intervals alone"

    st.selectbox(
        "False discovery rate of verdicts",
        list(choices),
        key="fdr",
        format_func=words,
        on_change=chosen,
        help="Heads are many tests, and some intervals separate by chance. A verdict is kept only "
        "if the share of false ones among all kept stays below this. "
        f"BH ({SOURCES['BH']}) holds for heads that err in the same direction, as those that read "
        f"one prompt do, and is the usual choice; BY ({SOURCES['BY']}) holds for any dependence "
        "and is stricter. No threshold adds verdicts: the intervals must be apart as well.",
    )
    return now


def why_not(scene: Scene, metric: str, shown: Score) -> str:
    """Why the link's metric is not the one on show."""
    if scene.pending:
        return f"The metric of this link is still being measured; showing {shown.title} meanwhile."
    reasons = " ".join(scene.refusals.values())
    return plain(f"There is no metric {metric!r} here; showing {shown.title}. {reasons}")


def head_of(selection: Selection, card: Card, strongest: tuple[int, int]) -> tuple[int, int]:
    """The selected head if this model has it, else the strongest."""
    if selection.layer is None or selection.head is None:
        return strongest
    there = selection.layer < card.n_layers and selection.head < card.n_heads
    return (selection.layer, selection.head) if there else strongest


def controls(selection: Selection, scores: dict[str, Score]) -> None:
    """How the grid is coloured and ordered."""
    st.session_state["metric"] = (
        selection.metric if selection.metric in scores else next(iter(scores))
    )
    st.session_state["ranked"] = selection.ranked
    st.selectbox(
        "Colour and rank heads by",
        list(scores),
        key="metric",
        format_func=lambda key: scores[key].title,
        on_change=lambda: state.change(metric=st.session_state["metric"]),
    )
    st.toggle(
        "Strongest first",
        key="ranked",
        help="In order of the metric, instead of layer by layer.",
        on_change=lambda: state.change(ranked=st.session_state["ranked"]),
    )


def grid(scene: Scene, score: Score, selection: Selection, here: tuple[int, int]) -> None:
    """All heads as thumbnails of their matrix on this prompt."""
    head_grid(
        key="grid",
        mosaic=scene.mosaic,
        tile=scene.thumbs.shape[-1],
        n_layers=scene.card.n_layers,
        n_heads=scene.card.n_heads,
        group_size=scene.card.group_size,
        values=score.value,
        order=score.ranking() if selection.ranked else None,
        selected=here,
        metric=score.title,
        unit=score.unit,
        captions=tables.captions(score),
        signed=not scene.card.reads_shares,
        on_pick=lambda: picked(st.session_state["grid"].pick),
    )


def picked(pick: list[int] | None) -> None:
    """A head was picked in the grid."""
    if pick is not None:
        state.change(layer=int(pick[0]), head=int(pick[1]))


def head_picture(scene: Scene, selection: Selection, here: tuple[int, int]) -> None:
    """One head's matrix and the token strip: whole, or past WHOLE tokens a window of it."""
    st.session_state["clipped"] = selection.clipped
    st.toggle(
        "Ignore token 0 in colours",
        key="clipped",
        on_change=lambda: state.change(clipped=st.session_state["clipped"]),
        help="Changes colours only. The numbers always include it.",
    )
    words, picture = st.container(), st.container()  # so that words that come move no component
    if "sinks" in scene.results:
        words.caption(tables.column_words(scene.results["sinks"], *here))
    with picture:
        draw = long_head if len(scene.tokens.ids) > WHOLE else whole_head
        draw(scene, selection, here)


def whole_head(scene: Scene, selection: Selection, here: tuple[int, int]) -> None:
    """One head's matrix, all of it."""
    layer, head = here
    pattern = scene.pattern(layer, head)
    if pattern is None:
        st.caption(f"The matrix of L{layer}H{head} is on its way ...")
        return
    rest = np.abs(pattern[1:, 1:]).max(initial=0.0)
    stride = -(-len(pattern) // PIXELS)
    head_view(
        key="head",
        label=f"L{layer}H{head}",
        pattern=pooled(pattern, stride),
        tokens=scene.tokens.labels,
        color_max=float(rest if selection.clipped else np.abs(pattern).max()),
        signed=not scene.card.reads_shares,
        causal=reads_no_later(pattern),
        sink_slot=1 - pooled_rows(pattern.sum(1), stride) if scene.card.sink_slot else None,
        stride=stride,
        pinned=selection.pin,
        on_pin=lambda: pinned(st.session_state["head"].pin),
    )
    matrix_files(scene, layer, head, pattern)


def matrix_files(scene: Scene, layer: int, head: int, pattern: Float[np.ndarray, "T T"]) -> None:
    """The matrix as a picture, its numbers as far as a sheet holds them."""
    labels = scene.tokens.labels
    with st.container(horizontal=True, gap="small"):
        with st.popover("Download", type="tertiary", icon=":material/download:"):
            st.caption(f"The matrix of L{layer}H{head} on this prompt, with its tokens.")
            makers = of_matrix(scene.card, pattern, labels, f"L{layer}H{head}")
            files(f"matrix-L{layer}H{head}", makers)
        if len(pattern) <= KEPT:
            found = matrix_result(scene.card, scene.tokens.ids, labels, (layer, head), pattern)
            keep("matrix", found, found.heats[0])


def pooled_rows(rows: np.ndarray, stride: int) -> np.ndarray:
    """Mean of each block of rows."""
    return np.array([part.mean() for part in np.split(rows, range(stride, len(rows), stride))])


def head_numbers(scene: Scene, selection: Selection, here: tuple[int, int]) -> None:
    """Every number of the head, with null, interval, n and kind."""
    layer, head = here
    st.markdown(f"##### What L{layer}H{head} measures")
    every = st.toggle("All metrics", key="every", help="Also the less common ones of each probe.")
    wide_table(
        tables.head_numbers(scene.results, layer, head, every, threshold(selection)), key="head"
    )
    st.caption(
        "In brackets: 95 % bootstrap intervals. Nulls: the random-init twin, and the fresh second "
        "copy for induction and duplicates; the other columns are checks and closed forms. "
        "Rank 1 is the strongest of all heads. n: query rows, or sequences of random tokens.",
        help=" ".join(f"{kind}: {words}." for kind, words in KINDS.items()),
    )


def cause(scene: Scene, here: tuple[int, int]) -> None:
    """Does the head cause anything on this prompt? Asked for by a button: it takes a few passes."""
    layer, head = here
    wanted = (scene.card.digest, scene.tokens.ids, here)
    st.markdown("##### Does it cause anything?")
    if st.session_state.get("ablate") != wanted:
        st.button(
            f"Ablate L{layer}H{head} and its neighbours",
            key="ablate_button",
            help="Set the head's output to zero and measure the loss on this prompt, then do the "
            "same to every other head of the layer.",
            on_click=lambda: st.session_state.update(ablate=wanted),
        )
        return
    work = ablation_work(scene.card, scene.request, layer, head)
    answer = subject_of(scene.card.name, "model")[1] or ask(work, "cause", PATIENCE)
    if answer.pending:
        scene.pending.append(answer)
        st.caption("Ablating ...")
    elif answer.problem:
        st.warning(plain(answer.problem))
    else:
        figures(answer.result)
