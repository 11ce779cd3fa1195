"""Variants: attention mechanisms side by side on one random input, and what each of them costs."""

import streamlit as st

from app.engine_room import PATIENCE, ask, watch
from app.panels import variants as panel
from app.plain import plain
from interp import variant_lines, variants
from interp.subject import Refused

request, problem = panel.controls(), ""
try:
    answer = ask(variants.work(variants.VariantsRequest(**request)), "variants", PATIENCE)
    problem, reports = answer.problem, answer.result
except Refused as refusal:
    answer, problem, reports = None, str(refusal), None

with st.container(key="of-variants-answer"):
    st.markdown("#### " + (panel.answer(reports) if reports else "What does each attention do?"))
if problem:
    st.error(plain(problem))
if reports:
    head = panel.pick_head(reports)
    panel.matrices(reports, head)
    panel.numbers(reports, head)
    found = variant_lines.lines(reports, head)
    panel.rows(found)
    panel.costs(reports, found)
pending = [answer] if answer and answer.pending else []
if pending:
    watch(pending, "variants")
st.html(f"<span id='page-state' data-pending='{len(pending)}'></span>")
