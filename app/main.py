"""Navigation only: one line a page."""

import streamlit as st

from app.carry import arrive
from app.panels.keep import show_offer
from app.signing_in import may_look, sign_in_page, team

st.set_page_config(page_title="Headlamp", page_icon="🔦", layout="wide")
PAGES = {
    "": (
        st.Page("views/explore.py", title="Explore", icon=":material/grid_view:", default=True),
        st.Page("views/sinks.py", title="Sinks", icon=":material/vertical_align_bottom:"),
        st.Page("views/induction.py", title="Induction", icon=":material/content_copy:"),
        st.Page(
            "views/concentration.py", title="Concentration", icon=":material/filter_center_focus:"
        ),
        st.Page("views/system2.py", title="System 2", icon=":material/edit_note:"),
        st.Page("views/heads.py", title="Heads", icon=":material/scatter_plot:"),
        st.Page("views/circuits.py", title="Circuits", icon=":material/account_tree:"),
    ),
    "Zoo": (
        st.Page("views/compare.py", title="Compare", icon=":material/balance:"),
        st.Page("views/training.py", title="Training", icon=":material/timeline:"),
        st.Page("views/retrieval.py", title="Retrieval", icon=":material/key:"),
        st.Page("views/variants.py", title="Variants", icon=":material/compare:"),
        st.Page("views/rope.py", title="RoPE", icon=":material/rotate_right:"),
    ),
    "Library": (
        st.Page("views/dashboards.py", title="Dashboards", icon=":material/dashboard:"),
        st.Page("views/sets.py", title="Sets", icon=":material/library_books:"),
        st.Page("views/models.py", title="Models", icon=":material/folder_open:"),
    ),
}
ACCOUNT = {
    "Account": (st.Page("views/account.py", title="Account", icon=":material/account_circle:"),)
}
looks = may_look()
page = st.navigation(PAGES | ACCOUNT if team() else PAGES, position="top" if looks else "hidden")
if not looks:
    sign_in_page(page.url_path)
    st.stop()
arrive(page.url_path or "explore")
page.run()
show_offer()
