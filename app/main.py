"""Navigation only: one line a page."""

import streamlit as st

st.set_page_config(page_title="Headlamp", page_icon="🔦", layout="wide")
st.navigation(
    [
        st.Page("views/explore.py", title="Explore", icon=":material/grid_view:", default=True),
        st.Page("views/variants.py", title="Variants", icon=":material/compare:"),
        st.Page("views/rope.py", title="RoPE", icon=":material/rotate_right:"),
    ],
    position="top",
).run()
