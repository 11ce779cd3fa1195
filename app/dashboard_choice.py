"""Choice: everything a link to the Dashboards page restores. The URL is the truth."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from interp.store import Panel

HERE = "dashboards"  # the page
ID = r"[0-9a-f]{32}"
HOME = "explore"  # the page that opens without a name
PAGES = frozenset(path.stem for path in (Path(__file__).parent / "views").glob("*.py")) - {HERE}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is on the page: a list without `id`, else a dashboard."""

    id: str = ""  # 32 hex digits
    version: int | None = None  # None: the newest
    edit: str = ""  # name of the unsaved edits, 32 hex digits; they outlive a refresh
    mine: str = ""  # draft that lost a conflict: it is compared with the dashboard

    def to_query(self) -> dict[str, str]:
        """URL parameters; what has its default value is left out."""
        told = {name: getattr(self, name) for name in ("id", "version", "edit", "mine")}
        return {name: str(value) for name, value in told.items() if value}

    @staticmethod
    def from_query(query: Mapping[str, str]) -> "Choice":
        """The choice of a URL; a parameter that makes no sense counts as absent."""
        made: dict[str, Any] = {
            name: query[name]
            for name in ("id", "edit", "mine")
            if re.fullmatch(ID, query.get(name, ""))
        }
        if re.fullmatch(r"[1-9][0-9]{0,5}", query.get("version", "")):
            made["version"] = int(query["version"])
        return Choice(**made)


def read() -> Choice:
    """The choice of this page's link."""
    return Choice.from_query(st.query_params.to_dict())


def go(**fields: Any) -> None:
    """Turn to another dashboard, version or list: what is not named is not kept."""
    st.query_params.from_dict(Choice(**fields).to_query())


def change(**fields: Any) -> None:
    """Put other values into the link."""
    st.query_params.from_dict(replace(read(), **fields).to_query())


def live(panel: Panel) -> str:
    """Address of the view a panel came from, relative to this page; empty for no page of ours.

    Nothing of it is an address that somebody wrote: the page is one of a list, and parameters are
    encoded.
    """
    if panel.page not in PAGES:
        return ""
    query = urlencode(panel.query)
    return f"./{'' if panel.page == HOME else panel.page}{'?' if query else ''}{query}"
