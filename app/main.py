"""Navigation only: one line a page."""

import streamlit as st

st.set_page_config(page_title="Headlamp", page_icon="🔦", layout="wide")
st.navigation(
    [st.Page("views/explore.py", title="Explore", icon=":material/grid_view:", default=True)],
    position="top",
).run()
