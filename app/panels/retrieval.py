"""Retrieval page: what every trained model recalls, and whether concentration explains it."""

import altair as alt
import streamlit as st

from app import charts_recall, retrieval_choice
from app.downloads import Exhibit
from app.engine_room import PATIENCE, Answer, ask, watch
from app.panels.answer import answer
from app.panels.exhibits import NARROW, definition, exhibit, words
from app.panels.figures import figures
from app.plain import plain
from app.retrieval_choice import Choice
from interp.recall.compared import AXES
from interp.recall.runs import sizes
from interp.recall.work import across_work
from interp.result import Result

OWNER = "retrieval"
PLANES = {"weight on value": "Accuracy and weight on the value", "S": "Accuracy and S at queries"}


def headline(table: Result, over: Result | None) -> None:
    """The answer, in numbers."""
    with st.container(key=f"of-{OWNER}-answer"):
        answer(table.answer)
        if over:
            st.markdown(plain(over.answer))
        st.caption(
            "Multi-query associative recall: a sequence opens with keys, each with a value; every "
            "key comes once more, and its value is to be said. "
            + plain("Arora et al. 2023, arXiv 2312.04927. ")
            + f"{plain(table.model)}, table {table.digest}.",
        )


def recalled(table: Result, choice: Choice) -> None:
    """Accuracy against what was chosen, and the order beside the claimed one."""
    titles = {axis.key: axis.title.removeprefix("Accuracy by ") for axis in AXES}
    st.session_state["r_against"] = choice.against
    st.segmented_control(
        "Accuracy against",
        list(titles),
        key="r_against",
        required=True,
        format_func=lambda key: titles[key],
        on_change=lambda: retrieval_choice.change(against=st.session_state["r_against"]),
    )
    shown = table.exhibit(choice.against)
    chart = charts_recall.with_seeds(shown, table.exhibit("runs"))
    picture(table, shown, chart, "Hollow: every seed, its bar over test sequences.")
    exhibit(OWNER, table, table.exhibit("order"))
    exhibit(OWNER, table, table.exhibit("published"))
    with st.expander("All runs, and the learning rates tried"):
        exhibit(OWNER, table, table.exhibit("runs"))
        exhibit(OWNER, table, table.exhibit("rates"))
    with st.container(key=f"of-{OWNER}-notes", gap="xsmall"):
        for note in table.notes:
            st.caption(plain(note))


def picture(
    result: Result, shown: Exhibit, chart: alt.LayerChart, more: str, title: str = "", key: str = ""
) -> None:
    """A chart of an exhibit with what has to be said of it."""
    key, title = key or shown.key, title or shown.title
    with st.container(key=f"of-{OWNER}-{key}", gap="xsmall"):
        st.markdown(f"**{plain(title)}**")
        st.altair_chart(chart, width="stretch", alt=f"{title}. {words(shown)}")
        st.caption(plain(f"{more} {words(shown)}".strip()))
        if key == shown.key:
            definition(OWNER, result, shown)


def explained(choice: Choice) -> tuple[Result | None, Answer]:
    """The correlation over models, as far as it is."""
    work = across_work(size_of(choice), choice.sequences, choice.seed)
    asked = ask(work, "across", PATIENCE)
    return asked.result, asked


def size_of(choice: Choice) -> tuple[int, int]:
    """Width and pairs of the models that are correlated: the link's, if they are here."""
    named = {f"{width}.{pairs}": (width, pairs) for width, pairs in sizes()}
    return named.get(choice.size) or sizes()[0]


def size_control(choice: Choice) -> None:
    """Which models: the easier size is near its ceiling."""
    named = {f"{width}.{pairs}": f"width {width}, {pairs} pairs" for width, pairs in sizes()}
    st.session_state["r_size"] = "{}.{}".format(*size_of(choice))
    st.segmented_control(
        "Models of",
        list(named),
        key="r_size",
        required=True,
        format_func=named.get,
        on_change=lambda: retrieval_choice.change(size=st.session_state["r_size"]),
    )


def concentration(choice: Choice, over: Result | None, asked: Answer) -> None:
    """Weight on the value and S beside accuracy, model by model."""
    st.markdown("##### Does concentration explain it?")
    size_control(choice)
    if over is None:
        if asked.pending:
            watch([asked], "across")
        else:
            st.warning(plain(asked.problem))
        return
    models = over.exhibit("models")
    with st.container(horizontal=True, gap="small"):
        for column, title in PLANES.items():
            with st.container(width=NARROW):
                picture(
                    over,
                    models,
                    charts_recall.plane(models, column),
                    "Bars: 95 % intervals both ways; a colour and sign for each variant.",
                    title,
                    f"plane-{column.replace(' ', '-')}",
                )
    figures(over)
    exhibit(OWNER, over, models)
    with st.container(key=f"of-{OWNER}-models-notes", gap="xsmall"):
        for note in over.notes:
            st.caption(plain(note))
