"""Sets page: a file is looked at, mapped and saved; what of it cannot be read is said by number."""

import hashlib
from collections.abc import Sequence
from pathlib import PurePath

import pandas as pd
import streamlit as st

from app import sets_choice as state
from app.downloads import written
from app.panels.wide_table import wide_table
from app.plain import plain
from app.store_room import actor, barred, store
from interp.sets.decoding import ENCODINGS
from interp.sets.delimited import DELIMITERS
from interp.sets.forms import FORMS
from interp.sets.reading import SetError, SetReading, read
from interp.sets.rows import Options, RowError
from interp.sets.saved import about, to_bytes
from interp.sets.words import visible_words
from interp.store import PromptSet, StoreError, Thing

TYPES = ["txt", "md", "csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet"]
MEGABYTES = 64
LISTED = 30  # bad rows on the page; all of them are in the file
NEW = ""  # in place of a set's id
KEYS = ("form", "encoding", "delimiter", "header", "prompt", "label", "name")


def upload(sets: Sequence[PromptSet]) -> None:
    """A file and what can be chosen about it; saved as a new set, or as a version of one."""
    if reason := barred("create", Thing("set")):
        st.caption(plain(reason))
    found = st.file_uploader(
        "A file of prompts",
        type=TYPES,
        key=f"set_file_{st.session_state.get('set_saves', 0)}",
        max_upload_size=MEGABYTES,
        disabled=bool(reason),
        on_change=forget,
        help=f"Text, CSV, TSV, JSON lines or Parquet: up to {MEGABYTES} MB, 10,000 rows, 256 KiB a "
        "row. What it is is told by its content.",
    )
    if found is None:
        return
    data = found.getvalue()
    try:
        with st.spinner("Reading the file"):
            reading = read_once(found.name, data)
    except SetError as problem:
        st.error(plain(str(problem)))
        encoding_choice()
        return
    summary(reading)
    choices(reading)
    preview(reading)
    errors(reading.errors, reading.counted)
    if reading.rows:
        save_form(found.name, reading, sets)
    else:
        st.error("No row of the file could be read, so there is nothing to save.")


def saved() -> None:
    """Say once that a set was saved."""
    if said := st.session_state.pop("set_saved", ""):
        st.success(plain(said))


def forget() -> None:
    """Another file: what was chosen for the last one says nothing about it."""
    for key in KEYS:
        st.session_state.pop(f"set_{key}", None)
    st.session_state.pop("set_name_new", None)


def chosen() -> Options:
    """What is chosen so far."""
    now = {key: st.session_state.get(f"set_{key}") for key in KEYS}
    now["header"] = now["header"] is not False
    for key in ("form", "encoding", "delimiter"):
        now[key] = now[key] or ""
    return Options(**now)


def read_once(name: str, data: bytes) -> SetReading:
    """The reading, kept for the next rerun; raises SetError."""
    options = chosen()
    key = (name, hashlib.sha256(data).hexdigest(), options)
    if st.session_state.get("set_read_key") != key:
        st.session_state["set_reading"] = read(name, data, options)
        st.session_state["set_read_key"] = key
    return st.session_state["set_reading"]


def summary(reading: SetReading) -> None:
    """What the file is, in a sentence."""
    parts = f" with {DELIMITERS.get(reading.delimiter, 'delimiter')}s" if reading.delimiter else ""
    bad = f", {len(reading.errors):,} cannot be read" if reading.errors else ""
    st.markdown(
        f"**{len(reading.rows):,} prompts{bad}.** "
        + plain(f"{FORMS[reading.form].title}{parts} ({reading.why}); {reading.encoding}.")
    )
    for note in reading.notes:
        st.caption(plain(note))


def choices(reading: SetReading) -> None:
    """Form, encoding and columns."""
    form = FORMS[reading.form]
    with st.container(horizontal=True):
        texts = [name for name, one in FORMS.items() if one.text]
        if form.text:
            select("form", "Form", texts, reading.form, lambda n: FORMS[n].title)
            encoding_choice()
        if form.delimited:
            marks = dict.fromkeys([*DELIMITERS, reading.delimiter])
            select("delimiter", "Delimiter", list(marks), reading.delimiter,
                   lambda d: DELIMITERS.get(d, d))  # fmt: skip
            st.session_state["set_header"] = chosen().header
            st.checkbox("The first row names the columns", key="set_header")
    if form.columns:
        columns, now = list(reading.columns), reading.mapping
        with st.container(horizontal=True):
            select("prompt", "Prompt", columns, now.prompt, visible_words)
            others = ["", *(name for name in columns if name != now.prompt)]
            for key, title, value in (("label", "Label", now.label), ("name", "Id", now.name)):
                select(key, title, others, value, lambda n: visible_words(n) or "none")


def select(key: str, title: str, options: list[str], now: str, words: object) -> None:
    """A choice that shows what is in force, chosen or told from the file."""
    st.session_state[f"set_{key}"] = now if now in options else options[0]
    st.selectbox(title, options, key=f"set_{key}", format_func=words, width=220)


def encoding_choice() -> None:
    """Which encoding; the old ones only by choice, because any bytes are text in them."""
    st.session_state.setdefault("set_encoding", "")
    st.selectbox(
        "Encoding",
        list(ENCODINGS),
        key="set_encoding",
        format_func=ENCODINGS.__getitem__,
        width=220,
        help="UTF-8 and marked UTF-16 are detected. Windows-1252 and Latin-1 take any bytes for "
        "text, so they have to be chosen.",
    )


def preview(reading: SetReading) -> None:
    """The first rows as they are read."""
    if not reading.preview:
        return
    names = [plain(visible_words(name)) for name in reading.columns]
    few = names[:8]
    rows = [[plain(cell) for cell in row[: len(few)]] for row in reading.preview]
    frame = pd.DataFrame(rows, columns=unique(few)).set_index(unique(few)[0])
    wide_table(frame, "set-preview")
    more = f" and {len(names) - len(few)} more columns" if len(names) > len(few) else ""
    st.caption(f"The first {len(rows)} rows{more}, cells cut short.")


def unique(names: list[str]) -> list[str]:
    """Names as they are, numbered where two look alike."""
    found: dict[str, None] = {}
    for at, name in enumerate(names, 1):
        found[name if name not in found else f"{name} ({at})"] = None
    return (
        list(found) if len(found) == len(names) else [f"column {n + 1}" for n in range(len(names))]
    )


def errors(found: Sequence[RowError], counted: str) -> None:
    """Bad rows by number, each with its reason."""
    if not found:
        return
    with st.expander(f"{len(found):,} rows that cannot be read", expanded=True):
        rows = [{counted: f"{one.row:,}", "reason": plain(one.reason)} for one in found[:LISTED]]
        with st.container(key="of-set-errors-notes"):
            st.table(pd.DataFrame(rows).set_index(counted))
        if len(found) > LISTED:
            st.caption(f"The first {LISTED} of {len(found):,}; all are in the file.")
        st.download_button(
            "All of them (CSV)",
            data=lambda: written([counted, "reason"], [(o.row, o.reason) for o in found]),
            file_name="headlamp-bad-rows.csv",
            key="set_errors_csv",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )


def save_form(file_name: str, reading: SetReading, sets: Sequence[PromptSet]) -> None:
    """Name it, or make it the next version of a set."""
    names = {one.id: one for one in sets}
    target = names.get(st.session_state.get("set_target"))
    reason = barred("edit", target.thing) if target else barred("create", Thing("set"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Save as",
            [NEW, *names],
            key="set_target",
            format_func=lambda one: (
                f"a new version of {visible_words(names[one].name)}" if one else "a new set"
            ),
            width=280,
        )
        if not st.session_state["set_target"]:
            stem = visible_words(PurePath(file_name.replace("\\", "/")).stem)[:100]
            st.session_state.setdefault("set_name_new", stem or "prompts")
            st.text_input("Name", key="set_name_new", max_chars=200, width=280)
        st.button(
            f"Save {len(reading.rows):,} prompts",
            key="set_save",
            type="primary",
            disabled=bool(reason),
            help=plain(reason) or None,
            on_click=save,
            args=(file_name, reading),
        )
    if problem := st.session_state.pop("set_problem", ""):
        st.error(plain(problem))


def save(file_name: str, reading: SetReading) -> None:
    """Save was pressed: the good rows are kept, and the page turns to them."""
    target = st.session_state["set_target"] or None
    name = None if target else st.session_state.get("set_name_new", "")
    try:
        kept = store().sets.save(
            actor(), name, to_bytes(reading.rows), about(file_name, reading), set_id=target
        )
    except StoreError as problem:
        st.session_state["set_problem"] = str(problem)
        return
    forget()
    # Another uploader takes its place: an uploaded file stays in memory as long as its own does.
    st.session_state["set_saves"] = st.session_state.get("set_saves", 0) + 1
    st.session_state.pop("set_reading", None)
    st.session_state.pop("set_read_key", None)
    st.session_state["set_saved"] = f"Saved {len(reading.rows):,} prompts, version {kept.number}."
    state.change(set_id=kept.set_id, version=None, started=False)
