"""RoPE: how long a context a base can serve, and what extrapolation does to distances."""

import streamlit as st

from app.engine_room import PATIENCE, ask, watch
from app.panels import rope as panel
from app.plain import plain
from interp import rope
from interp.subject import Refused

panel.controls()
pending, asked = [], rope.CurveRequest()
try:
    asked = panel.request()
    answer = ask(rope.curve_work(asked), "curve", PATIENCE)
    problem, report = answer.problem, answer.result
    pending += [answer] if answer.pending else []
except Refused as refusal:
    problem, report = str(refusal), None

with st.container(key="of-rope-answer"):
    st.markdown("#### " + (panel.answer(report, asked) if report else "How far does RoPE reach?"))
if problem:
    st.error(plain(problem))
if report:
    panel.picture(report)
    with st.container(key="of-rope-bounds"):
        pending += panel.bounds(report)
with st.container(key="of-rope-methods"):
    panel.methods(asked)
if pending:
    watch(pending, "rope")
st.html(f"<span id='page-state' data-pending='{len(pending)}'></span>")
