"""Training: models along their training, where they learn to copy, and the heads of a snapshot."""

import streamlit as st

from app import training_choice
from app.panels import training_page as panel
from app.panels.findings import findings

choice = training_choice.read()
panel.controls(choice)
answer = st.container(key="of-training-answer")
found = panel.gather(choice)
panel.status(found)
result = panel.result_of(found)
if result:
    here, moment = panel.slider(choice, found)
    panel.curves(result, here)
    panel.heads(choice, here, moment)
    panel.notes(result)
elif not choice.models:
    st.info("No model here was kept along its training; python -m models.train --snapshots does.")
findings("training")
with answer:
    panel.headline(choice, found, result)
st.html(f"<span id='page-state' data-pending='{len(found.pending)}'></span>")
