"""Every handler of a page that changes something, as a click would call it."""

from collections.abc import Callable, Sequence

import streamlit as st

from app import may
from app.engine_room import ask
from app.panels import models_page, set_shelf, set_upload
from app.store_room import actor, store
from interp.engine.job import Work
from interp.sets.reading import read
from interp.store import StoreError

Things = dict[str, str]
PROBLEMS = ("sets_problem", "set_problem", "add_problem")


def rename(things: Things) -> None:
    st.session_state[f"rename_{things['id']}"] = "x"
    set_shelf.rename(things["id"])


def save(target: str) -> None:
    st.session_state.update(set_target=target, set_name_new="mine")
    set_upload.save("a.txt", read("a.txt", b"one two"))


def add(things: Things) -> None:
    st.session_state["add_round"] = 0
    models_page.offered()


def run(things: Things) -> None:
    st.session_state["set_problem"] = ask(Work("key", "words", nothing), "slot").problem


def nothing(engine: object, progress: object) -> int:
    return 1


CHANGES: dict[str, Callable[[Things], object]] = {
    "rename a set": rename,
    "delete a set": lambda things: set_shelf.delete(things["id"]),
    "restore a set": lambda things: set_shelf.restore(things["gone"]),
    "save a set": lambda things: save(""),
    "save a version": lambda things: save(things["id"]),
    "publish a set": lambda things: store().sets.publish(actor(), things["id"], "private"),
    "add a model": add,
    "delete a model": lambda things: models_page.deleted("zoo-none"),
    "keep a result": lambda things: store().artifacts.put(actor(), b"x"),
    "save a dashboard": lambda things: store().dashboards.save(actor(), None, None, "t", ()),
    "its version": lambda things: store().dashboards.save(actor(), things["board"], 1, "t", ()),
    "publish it": lambda things: store().dashboards.publish(actor(), things["board"], "private"),
    "share it": lambda things: store().shares.share(actor(), things["board"], 1, "1 h"),
    "delete it": lambda things: store().dashboards.delete(actor(), things["board"]),
}
RUNS: dict[str, Callable[[Things], object]] = {  # what a viewer may
    "keep a prompt": lambda things: may.keep_prompt("long"),
    "run": run,
}


def press(names: Sequence[str], things: Things) -> None:
    """Call them one after the other; a line for each, with the sentence it was refused with."""
    for name in names:
        try:
            (CHANGES | RUNS)[name](things)
            said = ""
        except StoreError as problem:
            said = str(problem)
        said += "".join(st.session_state.pop(place, None) or "" for place in PROBLEMS)
        st.text(f"{name}: {said}")
