"""A Result on a page: the answer first, then its figures, pictures, tables, notes and data."""

import streamlit as st

from app.downloads import Exhibit
from app.export.formats import of_result
from app.panels.exhibits import NARROW, exhibit, is_narrow
from app.panels.figures import figures
from app.panels.files import files
from app.panels.keep import keep
from app.plain import plain
from interp.result import Result


def result_view(owner: str, result: Result, only_first: bool = False) -> None:
    """Everything a Result shows; `owner` is the study's name.

    With `only_first` what fits beside something else: the answer and the first exhibit, the rest
    behind a click.
    """
    if result.answer:
        with st.container(key=f"of-{owner}-answer"):
            st.markdown(f"**{plain(result.answer)}**")
    pictures: list[Exhibit] = [*result.curves, *result.heats]
    if only_first and pictures:
        exhibit(owner, result, pictures[0])
        with st.expander("All numbers of this experiment"):
            rest(owner, result, pictures[1:])
    else:
        rest(owner, result, pictures)


def rest(owner: str, result: Result, pictures: list[Exhibit]) -> None:
    """Pictures, figures, tables, notes, and all of it as a file."""
    left = list(pictures)
    while left:
        group = [left.pop(0)]
        while left and is_narrow(group[0]) and is_narrow(left[0]):
            group.append(left.pop(0))
        side_by_side(owner, result, group)
    figures(result, owner)
    for one in result.tables:
        exhibit(owner, result, one)
    with st.container(key=f"of-{owner}-notes", gap="xsmall"):
        for note in result.notes:
            st.caption(plain(note))
    with st.container(horizontal=True, gap="small"):
        files(owner, of_result(result), "All numbers")
        keep(owner, result, words="Add all to dashboard")


def side_by_side(owner: str, result: Result, group: list[Exhibit]) -> None:
    """Pictures in a row that wraps; one alone takes all the room."""
    if len(group) == 1:
        exhibit(owner, result, group[0])
        return
    with st.container(horizontal=True, gap="small"):
        for one in group:
            exhibit(owner, result, one, NARROW)
