"""Sidebar: what to look at (model, prompt, starters), and what a run will take, before Run."""

import time

import streamlit as st

from app import preflight, state, tables
from app.encoding import encoded
from app.engine_room import Answer, problems, watch
from app.plain import plain
from app.scene import check_length, subject_of
from app.starters import STARTERS
from app.state import Selection
from interp import prompts
from interp.catalog import HUB_NAME, entries, titles
from interp.engine.cost import in_words
from interp.engine.forecast import forecast
from interp.listing import listed
from models.device import device_words

# Seconds in which a browser may miss what a rerun put into a widget, because another one followed.
SETTLING = 2.0
MOST_SEED = 10**9 - 1  # what a link takes


def sidebar(selection: Selection) -> None:
    """What to look at: model, prompt, starters; and what a run will take, before Run."""
    fill(selection)
    with st.sidebar:
        names, called = list(dict.fromkeys([*listed(), selection.model])), titles()
        st.selectbox(
            "Model",
            names,
            key="draft_model",
            format_func=lambda name: called.get(name, name),
            accept_new_options=True,
            help="Type a Hugging Face name (org/model) for another causal language model, or a "
            "name that is not listed, such as another seed: zoo-mha-seed1.",
        )
        st.text_area(
            "Prompt",
            key="draft_text",
            height=140,
            placeholder="Type a sentence ...",
            on_change=lambda: st.session_state.update(prompt_problem=""),
        )
        st.checkbox(
            "Read control tokens",
            key="draft_special",
            help="Read tokens such as <|im_start|> out of the text. Off: they are plain text.",
        )
        seed(selection)
        cost()
        st.button("Run", type="primary", width="stretch", on_click=run)
        if st.session_state.get("prompt_problem"):
            st.error(plain(st.session_state["prompt_problem"]))
        st.caption("Start from")
        for name, starter in STARTERS.items():
            st.button(
                starter.title,
                key=f"starter_{name}",
                help=starter.look,
                width="stretch",
                on_click=open_starter,
                args=(name, selection),
            )
        st.file_uploader(
            "Or upload a text file",
            type=["txt", "md"],
            key="upload",
            on_change=take_upload,
            max_upload_size=1,
            help=f"UTF-8 text up to {in_words(prompts.MAX_BYTES)}.",
        )


def seed(selection: Selection) -> None:
    """The seed of everything random; another one measures anew and keeps the prompt."""
    st.session_state["seed"] = selection.seed
    st.number_input(
        "Seed of samples, nulls and intervals",
        0,
        MOST_SEED,
        key="seed",
        help="Random tokens, the random-init twin, shuffles, sampled rows and bootstrap resamples "
        "are drawn from it. It is kept in the link and in every download. Saved results are of "
        "seed 0; another seed is measured here.",
        on_change=lambda: state.change(seed=st.session_state["seed"] or 0),
    )


def fill(selection: Selection) -> None:
    """Put the URL's model and prompt into the widgets, when the URL is not what it was."""
    starter = STARTERS.get(selection.starter)
    shown = (selection.model, starter.text if starter else selection.text, selection.special)
    put = dict(zip(("draft_model", "draft_text", "draft_special"), shown, strict=True))
    there = {key: st.session_state[key] for key in put if key in st.session_state}
    if st.session_state.get("shown") != shown or len(there) < len(put):
        st.session_state["shown"] = shown
        if there != put:
            st.session_state["filled"] = time.monotonic()
    elif there != put or time.monotonic() > st.session_state.get("filled", 0) + SETTLING:
        return
    st.session_state.update(put)  # what was there already is sent again


def cost() -> None:
    """Device, model size; tokens, bytes and seconds of the draft, or why it cannot be run."""
    name, text = st.session_state["draft_model"] or "", st.session_state["draft_text"]
    if name not in entries() and not HUB_NAME.fullmatch(name):
        st.error("A model is a name in the list or a Hugging Face name such as org/model.")
        return
    subject, answer = subject_of(name, "draft model")
    if subject is None:
        st.caption(f"{device_words()} · model not loaded yet")
        on_its_way(answer)
        return
    st.caption(f"{device_words()} · {tables.model_words(subject.card)}")
    try:
        special = st.session_state["draft_special"]
        tokens, answer = encoded(subject, prompts.check(text), special, "draft tokens")
        if tokens is None:
            on_its_way(answer)
            return
        check_length(subject.card, len(tokens.ids))
    except prompts.PromptError as problem:
        st.caption(plain(str(problem)))
        return
    st.caption(preflight.line(forecast(subject.card, len(tokens.ids))))


def on_its_way(answer: Answer) -> None:
    """Progress of what the draft's cost waits for, or what went wrong with it."""
    if answer.problem:
        st.error(plain(answer.problem))
    else:
        watch([answer], "draft")


def run() -> None:
    """Run was pressed: the draft becomes the URL, or a sentence says why not."""
    text = st.session_state["draft_text"]
    problems().clear()
    st.session_state["prompt_problem"] = ""
    starter = next((k for k, s in STARTERS.items() if s.text == text), "")
    try:
        prompts.check(text)
    except prompts.PromptError as problem:
        st.session_state["prompt_problem"] = str(problem)
        return
    state.change(
        model=st.session_state["draft_model"] or state.DEFAULT_MODEL,
        starter=starter,
        text="" if starter else text,
        special=st.session_state["draft_special"],
        layer=None,
        head=None,
        pin=None,
        rows=None,
        zoom=None,
    )


def open_starter(name: str, now: Selection) -> None:
    """A starter was pressed; a draft that was not run makes way for it."""
    problems().clear()
    st.session_state.pop("shown", None)
    st.session_state["prompt_problem"] = ""
    kept = {field: getattr(now, field) for field in ("seed", "fdr", "rule", "x", "y", "colour")}
    state.write(Selection(starter=name, metric=STARTERS[name].metric, **kept))


def take_upload() -> None:
    """A file came: its text becomes the draft, or a sentence says why not."""
    file = st.session_state.get("upload")
    if file is None:
        return
    st.session_state["prompt_problem"] = ""
    try:
        st.session_state["draft_text"] = prompts.read_upload(file.name, file.getvalue())
    except prompts.PromptError as problem:
        st.session_state["prompt_problem"] = str(problem)
