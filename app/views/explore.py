"""Explore: every head of a model on one prompt, ranked, measured, beside its null."""

import streamlit as st

from app import state, tables
from app.engine_room import watch
from app.panels import heads, probes
from app.panels.sidebar import sidebar
from app.plain import plain
from app.scene import build
from app.starters import STARTERS
from interp import prompts

try:
    selection = state.read()
except prompts.PromptError as problem:
    st.error(plain(str(problem)))
    selection = state.Selection()

sidebar(selection)
top = st.container()
scene = build(selection)

if scene.problem:
    top.error(plain(scene.problem))

scores = heads.metric_scores(scene)
if scene.mosaic and scores:
    score = scores.get(selection.metric) or next(iter(scores.values()))
    here = heads.head_of(selection, scene.card, score.ranking()[0])
    with top:
        st.markdown(f"#### {tables.answer(score)}")
        title = plain(scene.card.title)
        where = f"Saved results of {title}" if scene.stored else title
        look = STARTERS[selection.starter].look if scene.stored else ""
        st.caption(
            f"{where}, digest {scene.card.digest} · {len(scene.tokens.ids)} tokens · "
            f"{scene.card.n_layers * scene.card.n_heads} heads are as many tests: at 95 % a few "
            f"separate by chance. {look}"
        )
    if selection.metric not in scores:
        top.info(heads.why_not(scene, selection.metric, score))
    left, right = st.columns([5, 6], gap="medium")
    with left:
        heads.controls(selection, scores)
        heads.grid(scene, score, selection, here)
    with right:
        heads.head_picture(scene, selection, here)
    heads.head_numbers(scene, here)
    heads.cause(scene, here)
    st.markdown("##### Strongest heads of every probe")
    probes.probe_tables(scene)
elif not scene.problem and not scene.pending:
    top.info("Type a prompt on the left and press Run, or open one of the three starters.")

if scene.pending:
    with top:
        watch(scene.pending, "page")
st.html(f"<span id='page-state' data-pending='{len(scene.pending)}'></span>")
