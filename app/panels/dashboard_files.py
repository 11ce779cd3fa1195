"""A dashboard as a file, and a file as a dashboard: exports, and the place to drop one."""

import hashlib

import streamlit as st

from app.dashboard_choice import go
from app.engine_room import engine
from app.export.dashboard import MOST, FileProblem, Opened, open_file, pack
from app.export.report import report
from app.export.words import visible
from app.panels import dashboard_panel
from app.panels.dashboard_check import check
from app.panels.dashboard_panel import Shown
from app.panels.dashboard_room import titled, told, tried
from app.panels.keep import MOST as MOST_KEPT
from app.plain import plain
from app.store_room import actor, barred, store
from interp.result import Result
from interp.store import Panel, StoreError, Thing, Version
from interp.store.blocks import Block

MIB = 2**20


def exports(version: Version, results: dict[str, Result], broken: dict[str, str]) -> None:
    """Buttons that make a file when they are clicked; off while a Result of it is damaged."""
    name = f"headlamp-dashboard-{version.dashboard_id[:8]}-v{version.number}"
    given = version.title, version.blocks, results
    kinds = {
        "html": ("Report (one HTML file)", "text/html", lambda: report(*given),
                 "Opens anywhere, with the network off. Dropped here it opens again."),
        "json": ("Dashboard file (JSON)", "application/json", lambda: pack(*given),
                 "All numbers with their digests. Dropped here it opens again."),
    }  # fmt: skip
    for ending, (label, mime, make, words) in kinds.items():
        st.download_button(
            label,
            data=make,
            file_name=f"{name}.{ending}",
            mime=mime,
            key=f"dashboard_{ending}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            disabled=bool(broken),
            help=plain(next(iter(broken.values()))) if broken else words,
        )


def drop_zone() -> None:
    """Where a report or a dashboard file is dropped; what is wrong with the last one."""
    refused = st.session_state.get("dashboard_refused", "")
    with st.expander("Open a dashboard file or a report", expanded=bool(refused)):
        st.file_uploader(
            "A file that Headlamp wrote: JSON or HTML",
            key="dashboard_upload",
            max_upload_size=MOST // MIB,
            on_change=dropped,
            help="It is read, shown, and compared with what this machine computes. Nothing is "
            "stored unless you keep it.",
        )
        if refused:
            st.error(plain(visible(refused)))


def dropped() -> None:
    """A file came, or the last one was taken away."""
    st.session_state.pop("dashboard_refused", None)
    found = st.session_state.get("dashboard_upload")
    if found is None:
        return
    try:
        if found.size > MOST:  # before it is copied
            raise FileProblem(
                f"The file has {found.size:,} bytes; a dashboard has {MOST:,} at most."
            )
        data = found.getvalue()
        key = f"opened {hashlib.sha256(data).hexdigest()}"
        engine().cache.put(key, open_file(data))
    except FileProblem as problem:
        st.session_state["dashboard_refused"] = str(problem)
        return
    st.session_state["dashboard_file"] = key


def opened() -> Opened | None:
    """The file that is looked at in this tab, if there is one."""
    key = st.session_state.get("dashboard_file")
    found = engine().cache.get(key) if key else None
    if key and found is None:  # other numbers needed the room
        close()
        st.session_state["dashboard_refused"] = "The file was put away meanwhile; drop it again."
    return found


def close() -> None:
    """Back to the list."""
    st.session_state.pop("dashboard_file", None)


def show(found: Opened) -> int:
    """The dashboard of a file, read-only, each panel with what became of its numbers; returns how
    much is being computed.
    """
    results = dict(found.results)
    with st.container(key="of-file-answer", gap="xsmall"):
        st.markdown(f"## {titled(found.title)}")
        st.caption(
            f"Out of a file: {len(found.blocks)} blocks, {len(results)} results. Every result is "
            "what its digests say. It is not stored here."
        )
    reason = barred("create", Thing("dashboard"))
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Keep as my dashboard",
            key="file_keep",
            type="primary",
            disabled=bool(reason),
            help=plain(reason) or None,
            on_click=keep,
            args=(found,),
        )
        st.button("Close", key="file_close", on_click=close)
    said, pending = check(st.session_state["dashboard_file"], results)
    shown = Shown(visible(found.title), found.blocks, results, said=said)
    dashboard_panel.draw(shown)
    return pending


def keep(found: Opened) -> None:
    """Keep as my dashboard was pressed."""
    made = tried(lambda: kept(found))
    if made:
        close()
        go(id=made.dashboard_id)
        told("Kept as a dashboard of yours.")


def kept(found: Opened) -> Version:
    """The file as a new private dashboard; raises StoreError."""
    names = {name: put(result) for name, result in found.results.items()}
    blocks = [renamed(block, names) for block in found.blocks]
    return store().dashboards.save(actor(), None, None, found.title, blocks)


def put(result: Result) -> str:
    """A Result of the file in the store."""
    text = result.to_json().encode()
    if len(text) > MOST_KEPT:
        raise StoreError(
            f"A result of the file has {len(text):,} bytes; a dashboard keeps {MOST_KEPT:,} of "
            "each."
        )
    return store().artifacts.put(actor(), text)


def renamed(block: Block, names: dict[str, str]) -> Block:
    """A panel that names the Results as the store does."""
    if not isinstance(block, Panel):
        return block
    return Panel(
        block.kind, block.page, block.query, block.work, block.title,
        tuple(names[name] for name in block.results),
    )  # fmt: skip
