"""What others published, held against the shipped models: a verdict each, numbers a click away."""

import streamlit as st

from app.panels.exhibits import exhibit
from app.plain import plain
from interp.findings.claims import CLAIMS
from interp.findings.run import kept

SIGNS = {
    "confirmed": ":material/check_circle:",
    "refuted": ":material/cancel:",
    "undecided": ":material/help:",
}
PART = ":material/contrast:"  # some comparisons as published, some not
OWNER = "findings"


def findings(page: str) -> None:
    """The findings that belong to a page; nothing where none were judged."""
    result, here = kept(), [claim for claim in CLAIMS if page in claim.pages]
    if result is None:
        return
    tables = {table.key: table for table in result.tables}
    with st.container(key=f"of-{OWNER}-{page}-notes"):
        st.markdown("##### Published findings, held against the shipped models")
        for claim in here:
            table = tables[claim.key]
            verdict = table.title.removeprefix(claim.says).strip(" .").lower()
            with st.expander(f"{SIGNS.get(verdict, PART)} {plain(table.title)}"):
                exhibit(OWNER, result, table)
                st.caption(plain(f"{table.definition} {claim.source}."))
        st.caption(plain(" ".join(result.notes)))
