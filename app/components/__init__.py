"""Streamlit components (v2) drawn in the browser: the head grid and the head view."""
