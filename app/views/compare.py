"""Compare: one prompt, two to six models side by side, and the largest difference in a sentence."""

import streamlit as st

from app import compare_choice
from app.compare_choice import FEWEST, Choice
from app.panels import compare_page as panel
from app.panels.answer import answer
from app.panels.findings import findings
from app.plain import plain
from interp import prompts
from interp.compare.reading import CompareRequest
from interp.subject import Refused

try:
    choice = compare_choice.read()
except prompts.PromptError as problem:
    st.error(plain(str(problem)))
    choice = Choice(models=compare_choice.usual())
panel.controls(choice)
top, found, result = st.container(key="of-compare-answer"), panel.Gathered(), None
try:
    request = CompareRequest(
        text=prompts.check(choice.text), opened=choice.opened, seed=choice.seed
    )
except (Refused, prompts.PromptError) as problem:
    st.error(plain(str(problem)))
else:
    if len(choice.models) < FEWEST:
        st.info("Choose a second model on the left.")
    else:
        found = panel.gather(choice, request)
        panel.status(choice, found)
        result = panel.result_of(choice, request, found)
if result:
    panel.draw(choice, result)
findings("compare")
with top:
    answer(result.answer if result else "How do these models differ on one prompt?")
st.html(f"<span id='page-state' data-pending='{len(found.pending)}'></span>")
