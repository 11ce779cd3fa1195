"""Retrieval page: one model: its heads at the queries, its window, and a sequence to look at."""

import numpy as np
import streamlit as st

from app import preflight, retrieval_choice, tables
from app.components.head_view import head_view, reads_no_later
from app.engine_room import PATIENCE, Answer, ask, problems, watch
from app.panels.exhibits import exhibit
from app.panels.keep import keep
from app.panels.result_view import result_view
from app.panels.wide_table import wide_table
from app.plain import plain
from app.retrieval_choice import Choice
from app.scene import subject_of
from interp.catalog import entries
from interp.engine.works import seconds_for
from interp.recall.example import Example, head_matrix
from interp.recall.reading import RecallRequest
from interp.recall.runs import card_of, kept, table
from interp.recall.work import model_work
from interp.result import Result
from interp.subject import Card

OWNER = "retrieval"
MOST_HEADS = 10  # of a table


def controls(choice: Choice) -> str:
    """The sidebar; returns the model's name."""
    mine, others = kept(), entries()
    name = choice.model or next(iter(mine))
    titles = {n: run.words for n, run in mine.items()} | {n: e.title for n, e in others.items()}
    st.session_state.update(r_model=name, r_sequences=choice.sequences, r_seed=choice.seed)
    with st.sidebar:
        st.selectbox(
            "Model",
            list(dict.fromkeys([*mine, *others, name])),
            key="r_model",
            format_func=lambda one: titles.get(one, one),
            help="Small models trained for recall first; others are asked in random ordinary "
            "tokens of their own.",
            on_change=lambda: changed("model"),
        )
        for field, label, low, high, help_ in (
            ("sequences", "Sequences to ask", *retrieval_choice.RANGES["sequences"],
             "More narrow the intervals and take longer."),
            ("seed", "Seed", *retrieval_choice.RANGES["seed"],
             "Of the sequences, of the twins and of intervals."),
        ):  # fmt: skip
            st.number_input(
                label, low, high, key=f"r_{field}", help=help_, on_change=changed, args=(field,)
            )
    return name


def changed(field: str) -> None:
    """A widget of the sidebar was used; another model has heads of its own."""
    values = {field: st.session_state[f"r_{field}"]}
    if field == "model":
        values |= {"head": "", "asked": ""}
    retrieval_choice.change(**{k: v for k, v in values.items() if v is not None})


def one_model(choice: Choice, name: str) -> list[Answer]:
    """What the chosen model does; returns what is on its way."""
    st.markdown("##### One model")
    card, answer = card_found(name)
    if card is None:
        if answer.problem:
            st.error(plain(answer.problem))
        else:
            watch([answer], "model")
        return [answer] if answer.pending else []
    with st.container(key=f"of-{OWNER}-one-answer"):
        st.markdown(f"{plain(card.title)}, digest {card.digest}")
    if name not in kept() and choice.asked != card.digest:
        offer(choice, card)
        return []
    pending = shown(choice, name, card, "model")
    if name in kept() and kept()[name].window and not pending:
        pending += shown(choice, name, card, "window")
    if not pending:
        pending += sequence(choice, name, card)
    return pending


def card_found(name: str) -> tuple[Card | None, Answer | None]:
    """The model's card: a kept one's at once, another's when the engine has loaded it."""
    if name in kept():
        return card_of(name, table()[2]), None
    subject, answer = subject_of(name, "model")
    return (subject.card if subject else None), answer


def offer(choice: Choice, card: Card) -> None:
    """Run, with what it takes: models of the catalogue can be large."""
    tokens = 4 * choice.sequences * RecallRequest.length
    st.button(
        f"Ask it ({preflight.duration(seconds_for(card, tokens))})",
        key="r_ask",
        type="primary",
        help="In random ordinary tokens of its own: it was not trained for this task.",
        on_click=pressed,
        args=(card.digest,),
    )


def pressed(digest: str) -> None:
    """Ask was pressed; what failed before is tried again."""
    problems().clear()
    retrieval_choice.change(asked=digest)


def shown(choice: Choice, name: str, card: Card, what: str) -> list[Answer]:
    """A question about the model: progress, its Result, or why there is none."""
    work = model_work(name, card.digest, choice.sequences, choice.seed, what)
    answer = ask(work, f"recall {what}", PATIENCE)
    if answer.pending:
        watch([answer], f"recall_{what}")
        return [answer]
    if answer.problem:
        st.info(plain(answer.problem))
    else:
        result_view(f"{OWNER}-{what}", answer.result)
        scores(what, answer.result)
    return []


def scores(what: str, result: Result) -> None:
    """Heads by their weight on the value, with interval, null, n and rank."""
    if not result.scores:
        return
    found = {score.key: score for score in result.scores}
    first = result.scores[0]
    with st.container(key=f"of-{OWNER}-{what}-heads", gap="xsmall"):
        st.markdown(f"**Heads by {plain(first.title.lower())}**")
        wide_table(
            tables.listed(found, first.ranking()[:MOST_HEADS], None).set_index("head"),
            key=f"{OWNER}-{what}",
        )
        kinds = ", ".join(dict.fromkeys(score.provenance for score in result.scores))
        st.caption(
            plain(
                f"The first {MOST_HEADS} of {first.value.size} heads at most; 95 % intervals; n: "
                f"{first.n_of}; nulls: the random-init twin, and answers of another sequence for "
                f"correlations; {kinds}."
            ),
            help=plain(" ".join(f"{s.title}: {s.definition}" for s in result.scores)),
        )


def sequence(choice: Choice, name: str, card: Card) -> list[Answer]:
    """One sequence: its matrix with a query marked, and all its queries in a table."""
    st.markdown("##### One sequence")
    index = min(choice.example, choice.sequences - 1)
    work = model_work(name, card.digest, choice.sequences, choice.seed, "example", index)
    answer = ask(work, "recall example", PATIENCE)
    if answer.pending:
        watch([answer], "recall_example")
        return [answer]
    if answer.problem:
        st.info(plain(answer.problem))
        return []
    drawn(choice, card, answer.result, index)
    return []


def drawn(choice: Choice, card: Card, example: Example, index: int) -> None:
    """The matrix of a head, with the row of a query pinned."""
    heads = [f"{layer}.{head}" for layer in range(card.n_layers) for head in range(card.n_heads)]
    best = most_looking(example)
    head = choice.head if choice.head in heads else best
    queries = list(range(len(example.asked_at)))
    query = min(choice.query, queries[-1])
    st.session_state.update(r_example=index, r_query=query, r_head=head)
    columns = st.columns(3)
    columns[0].number_input(
        "Sequence", 0, choice.sequences - 1, key="r_example", on_change=changed, args=("example",)
    )
    columns[1].selectbox(
        "Query",
        queries,
        key="r_query",
        format_func=lambda q: f"{example.labels[example.asked_at[q]]} at {example.asked_at[q]}",
        on_change=changed,
        args=("query",),
    )
    columns[2].selectbox(
        "Head",
        heads,
        key="r_head",
        format_func=lambda one: "L{}H{}".format(*one.split(".")),
        on_change=changed,
        args=("head",),
    )
    layer, number = (int(part) for part in head.split("."))
    pattern = example.patterns[layer, number]
    at, key = example.asked_at[query], example.key_at[query]
    labels = list(example.labels)
    with st.container(key=f"of-{OWNER}-row-answer"):
        st.markdown(
            plain(
                f"Query {labels[at]} at token {at}: its key {labels[key]} stands at token {key}, "
                f"its value {labels[key + 1]} at token {key + 1}."
            )
        )
    for place, mark in ((key, "key:"), (key + 1, "value:"), (at, "query:")):
        labels[place] = f"{mark}{labels[place]}"
    head_view(
        key=f"r_view_{query}",
        label=f"L{layer}H{number}",
        pattern=pattern,
        tokens=labels,
        color_max=float(np.abs(pattern).max()),
        signed=not card.reads_shares,
        causal=reads_no_later(pattern),
        sink_slot=1 - pattern.sum(1) if card.sink_slot else None,
        stride=1,
        pinned=at,
        on_pin=lambda: None,
    )
    found = head_matrix(card, example, layer, number)
    keep(f"{OWNER}-matrix", found, found.heats[0])
    exhibit(OWNER, example.result, example.result.exhibit("example"))


def most_looking(example: Example) -> str:
    """The head with most weight on the values of this sequence."""
    at, value = np.array(example.asked_at), np.array(example.key_at) + 1
    mass = np.abs(example.patterns[:, :, at, value]).sum(-1)
    mass = mass / np.maximum(np.abs(example.patterns[:, :, at]).sum((-1, -2)), 1e-12)
    layer, head = np.unravel_index(mass.argmax(), mass.shape)
    return f"{layer}.{head}"
