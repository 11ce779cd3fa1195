"""Retrieval: who recalls what it was told, and does attention that concentrates explain it?"""

import streamlit as st

from app import retrieval_choice
from app.panels import retrieval as panel
from app.panels import retrieval_model as model
from app.panels.findings import findings
from app.plain import plain
from interp.recall.compared import compared
from interp.recall.runs import kept

choice, pending = retrieval_choice.read(), []
try:
    table, models = compared(), kept()
except ValueError as broken:
    st.error(plain(str(broken)))
    st.stop()
name = model.controls(choice)
over, asked = panel.explained(choice)
panel.headline(table, over)
panel.recalled(table, choice)
panel.concentration(choice, over, asked)
pending += [asked] if asked.pending else []
if not asked.pending:
    pending += model.one_model(choice, name)
findings("retrieval")
st.html(f"<span id='page-state' data-pending='{len(pending)}'></span>")
