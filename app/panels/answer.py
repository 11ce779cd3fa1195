"""The answer of a page: its first sentence as a headline, the rest as text below."""

import streamlit as st

from app.plain import plain


def answer(text: str) -> None:
    """Sentences that end in a full stop and a blank; one alone is all headline."""
    first, stop, rest = text.partition(". ")
    st.markdown(f"#### {plain(first + stop.rstrip())}")
    if rest:
        st.markdown(plain(rest))
