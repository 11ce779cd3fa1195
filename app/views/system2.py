"""System 2: rewrite a prompt without what distracts, answer from it, and look inside meanwhile."""

import streamlit as st

from app import system2_choice
from app.engine_room import watch
from app.panels import system2_across
from app.panels import system2_example as example
from app.panels import system2_inside as inside
from app.panels import system2_runs as runs
from app.plain import plain
from app.scene import subject_of
from app.system2_choice import OWN
from interp.catalog import titles

choice, pending = system2_choice.read(), 0
with st.sidebar:
    called = titles()
    names = list(dict.fromkeys([*called, choice.model]))
    st.session_state["s2_model"] = choice.model
    st.selectbox(
        "Model",
        names,
        key="s2_model",
        format_func=lambda name: called.get(name, name),
        on_change=lambda: system2_choice.change(model=st.session_state["s2_model"]),
    )
    example.controls(choice)
    runs.rewriter_control(choice)

answer = st.container(key="of-s2-headline-answer")
if choice.set_name == OWN:
    with st.expander("Your own examples", expanded=not choice.own):
        example.typing()
try:
    picked = example.picked(choice)
    problem = runs.problem_of(choice, picked)
except example.NothingPicked as reason:
    picked, problem = None, str(reason)
ran = None
if picked:
    example.forms(picked)
    example.pieces(picked.one)
if problem:
    st.info(plain(problem))
subject, loading = subject_of(choice.model, "model")
if subject is None:
    pending += loading.pending
    if loading.problem:
        st.error(plain(loading.problem))
    else:
        watch([loading], "page")
elif picked and not problem:
    ran, waiting = runs.one_prompt(choice, subject.card, picked)
    pending += waiting
    rewrite = ran.rewrites.get(picked.one.name) if ran else None
    if rewrite:
        inside.compared(picked.one, rewrite)
    pending += inside.looks(choice, subject.card, picked, rewrite)
    pending += runs.whole_set(choice, subject.card, picked)
if subject is not None:
    pending += system2_across.across(choice)
with answer:
    asked = "Does rewriting the prompt take the distraction away?"
    st.markdown("#### " + (plain(ran.result.answer) if ran else asked))
    if picked:
        st.caption(
            plain(f"{picked.title}. System 2 Attention, Weston and Sukhbaatar 2023, ")
            + "arXiv 2311.11829: a model rewrites the prompt, then answers from the rewrite."
        )
st.html(f"<span id='page-state' data-pending='{pending}'></span>")
