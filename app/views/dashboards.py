"""Dashboards: what people kept of other pages, to read, edit, share and hand on."""

import streamlit as st

from app import dashboard_choice
from app.panels import dashboard_files as files
from app.panels.dashboard_conflict import conflict
from app.panels.dashboard_edit import edit
from app.panels.dashboard_list import shelf
from app.panels.dashboard_room import link, problem
from app.panels.dashboard_view import view
from app.plain import plain
from interp.store import StoreError

# Links between dashboards lead to this page: the mark of the page one is on would be on all.
st.html("<style>[data-testid=stPageLink-NavLink] {background: none}</style>")
choice, pending = dashboard_choice.read(), 0
problem()
try:
    if choice.edit:
        edit(choice)
    elif choice.id and choice.mine:
        conflict(choice)
    elif choice.id:
        pending = view(choice)
    elif found := files.opened():
        pending = files.show(found)
    else:
        shelf()
except StoreError as refused:
    st.error(plain(str(refused)))
    if choice.id:
        link("All dashboards", ":material/arrow_back:")
st.html(f"<span id='page-state' data-pending='{pending}'></span>")
