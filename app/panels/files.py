"""Buttons that make a file when they are clicked, and nothing before."""

import re
from collections.abc import Mapping

import streamlit as st

from app.export.formats import FORMATS, Maker


def files(name: str, makers: Mapping[str, Maker], words: str = "") -> None:
    """A button for every format in `makers`, in a row that wraps.

    `name` is unique on the page: it stands in keys and in the file's name. `words` stand before
    each format's label.
    """
    name = re.sub(r"[^\w.-]+", "-", name)
    with st.container(horizontal=True, gap="small", key=f"files-{name}"):
        for kind, make in makers.items():
            found = FORMATS[kind]
            st.download_button(
                f"{words} ({found.label})" if words else found.label,
                data=make,
                file_name=f"headlamp-{name}.{kind}",
                mime=found.mime,
                key=f"{kind}-{name}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )
