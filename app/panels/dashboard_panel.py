"""Blocks of a dashboard: texts, and panels drawn of frozen Results as the live pages draw them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import streamlit as st

from app import tables
from app.dashboard_choice import live
from app.export.formats import of_result
from app.export.markdown import rendered
from app.export.parts import ALL, Part, parts
from app.export.report import origin_words
from app.panels.dashboard_check import Told
from app.panels.dashboard_room import harmless, titled
from app.panels.exhibits import NARROW, exhibit, is_narrow
from app.panels.figures import figures
from app.panels.files import files
from app.panels.scripts import script_of
from app.panels.wide_table import wide_table
from app.plain import plain
from interp.printing import number
from interp.result import Result, Score
from interp.score_grid import score_grid
from interp.store import Markdown, Panel
from interp.store.blocks import Block

AT_ONCE = 24  # blocks that are drawn before anybody asks: a panel takes up to 0.3 s
TOP = 5  # heads of a score that are listed
SIGNS = {"matches": ":material/check_circle:", "differs": ":material/difference:",
         "not checked": ":material/help:"}  # fmt: skip
# Headings of a text stay below the dashboard's title.
STYLE = """<style>
  .headlamp-text {max-width: 48rem; line-height: 1.6; overflow-wrap: anywhere}
  .headlamp-text h1 {font-size: 1.5rem; padding: 0.6rem 0 0.2rem}
  .headlamp-text h2 {font-size: 1.3rem; padding: 0.6rem 0 0.2rem}
  .headlamp-text :is(h3, h4, h5, h6) {font-size: 1.1rem; padding: 0.4rem 0 0.2rem}
  .headlamp-text :is(p, ul, ol, pre, blockquote) {margin: 0 0 0.6rem}
  .headlamp-text :is(ul, ol) {padding-left: 1.4rem}
  .headlamp-text pre {overflow-x: auto}
</style>"""


@dataclass(frozen=True)
class Shown:
    """A dashboard to look at: out of the store, or out of a file."""

    title: str
    blocks: tuple[Block, ...]
    results: Mapping[str, Result]  # by the names in the blocks
    broken: Mapping[str, str] = field(default_factory=dict)  # why one cannot be shown
    since: Mapping[str, str] = field(default_factory=dict)  # when one was kept, in words
    said: Mapping[str, Told] = field(default_factory=dict)  # whether its numbers still hold


def draw(shown: Shown) -> None:
    """All blocks in their order."""
    st.html(STYLE)
    if not shown.blocks:
        st.info("Nothing is on it yet. Every figure has a button that adds it; Edit adds a text.")
    asked = st.session_state.get("dashboard_whole") == (shown.title, len(shown.blocks))
    for at, block in enumerate(shown.blocks if asked else shown.blocks[:AT_ONCE], 1):
        if isinstance(block, Markdown):
            text(f"d{at}", block.text)
        else:
            panel(f"d{at}", block, shown)
    if len(shown.blocks) > AT_ONCE and not asked:
        st.button(
            f"Show the other {len(shown.blocks) - AT_ONCE} blocks",
            key="dashboard_show",
            on_click=st.session_state.update,
            kwargs={"dashboard_whole": (shown.title, len(shown.blocks))},
        )


def text(owner: str, words: str) -> None:
    """Markdown of people, as words with headings, lists and emphasis and nothing that acts."""
    with st.container(key=f"of-{owner}-text-notes"):
        st.html(f'<div class="headlamp-text">{rendered(words)}</div>')


def panel(owner: str, block: Panel, shown: Shown) -> None:
    """What it keeps of every Result, where that is from, and the way to the live view."""
    with st.container(border=True, key=f"panel-{owner}"):
        if block.title and block.title not in own_titles(block, shown):
            with st.container(key=f"of-{owner}-title-notes"):
                st.markdown(f"#### {titled(block.title)}")
        for at, name in enumerate(block.results, 1):
            if name in shown.broken:
                st.warning(plain(shown.broken[name]))
            else:
                verdict(f"{owner}r{at}", shown.said.get(name))
                one(f"{owner}r{at}", block, harmless(name, shown.results[name]))
        foot(owner, block, shown)


def verdict(owner: str, told: Told | None) -> None:
    """What came of computing a Result again."""
    if told is None:
        return
    with st.container(key=f"of-{owner}-verdict-notes"):
        box = {"matches": st.success, "differs": st.warning}.get(told.state, st.info)
        box(plain(f"{told.state.capitalize()}. {told.sentence}"), icon=SIGNS[told.state])


def own_titles(block: Panel, shown: Shown) -> list[str]:
    """Titles of what it shows, where that is one exhibit which says its own."""
    results = [shown.results[name] for name in block.results if name in shown.results]
    kept = [x for one in results for x in (*one.curves, *one.heats, *one.tables)]
    return [one.title for one in kept if one.key == block.kind]


def one(owner: str, block: Panel, result: Result) -> None:
    """What the panel shows of one of its Results."""
    try:
        wanted = parts(result, block.kind)
    except KeyError as problem:
        st.info(plain(f"There is {problem.args[0]}: this panel has nothing to show of it."))
        return
    if block.kind == ALL and result.answer:
        with st.container(key=f"of-{owner}-answer"):
            st.markdown(f"**{plain(result.answer)}**")
    for at, group in enumerate(side_by_side(wanted), 1):
        with st.container(horizontal=True, gap="small") if len(group) > 1 else st.container():
            for place, part in enumerate(group, 1):
                width = NARROW if len(group) > 1 else "stretch"
                piece(f"{owner}p{at}.{place}", result, part, width)
    if result.notes:
        with st.container(key=f"of-{owner}-notes", gap="xsmall"):
            for note in result.notes:
                st.caption(plain(note))


def side_by_side(wanted: list[Part]) -> list[list[Part]]:
    """Parts in rows: those that are narrow stand beside each other."""
    rows: list[list[Part]] = []
    for part in wanted:
        if rows and narrow(part) and narrow(rows[-1][-1]):
            rows[-1].append(part)
        else:
            rows.append([part])
    return rows


def narrow(part: Part) -> bool:
    """Others may stand beside it."""
    return not isinstance(part, tuple | Score) and is_narrow(part)


def piece(owner: str, result: Result, part: Part, width: int | str = "stretch") -> None:
    """An exhibit, the model-wide numbers, or a score; a broken one leaves the others alone."""
    try:
        if isinstance(part, tuple):
            figures(replace(result, figures=part), owner)
        elif isinstance(part, Score):
            score(owner, result, part)
        else:
            exhibit(owner, result, part, width)
    except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
        st.warning(plain(f"This part cannot be drawn: {type(problem).__name__}."))


def score(owner: str, result: Result, found: Score) -> None:
    """A metric of all heads: what stands out, its map, and the strongest heads with their nulls."""
    if not found.value.size:
        st.info(plain(f"{found.title} has no heads."))
        return
    if not found.controls and not found.note:
        found = replace(found, note="Its nulls were not measured yet when this was kept.")
    with st.container(key=f"of-{owner}-answer"):
        st.markdown(f"**{plain(tables.answer(found))}**")
    exhibit(owner, result, score_grid(found))
    with st.container(key=f"of-{owner}-heads", gap="xsmall"):
        ranked = found.ranking()[:TOP]
        frame = tables.listed({found.key: found}, ranked, None).map(cell).rename(columns=plain)
        wide_table(frame.set_index("head"), key=f"{owner}-heads")
        st.caption(
            plain(
                f"The first {len(ranked)} of {found.value.size} heads; 95 % intervals; n: "
                f"{found.n_of}; null: {null_words(found)}."
            )
        )


def cell(value: object) -> str:
    """A cell of a table, for people."""
    return number(value) if isinstance(value, float) else plain(str(value))


def null_words(found: Score) -> str:
    """The nulls by name, or why there is none."""
    names = [control.name for control in found.controls if control.is_null]
    return ", ".join(names) or f"none. {found.note}".rstrip(". ")


def foot(owner: str, block: Panel, shown: Shown) -> None:
    """Model, digest, when it was kept, all numbers as files, and the live view."""
    there = {name: shown.results[name] for name in block.results if name in shown.results}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(key=f"of-{owner}-origin-notes", width="stretch", gap="xsmall"):
            for name, result in there.items():
                since = f" {shown.since[name]}." if name in shown.since else ""
                st.caption(plain(f"{origin_words(harmless(name, result))}.{since}"))
        if there:
            with st.popover("Data", type="tertiary", icon=":material/download:"):
                for at, result in enumerate(there.values(), 1):
                    makers = of_result(result) | script_of(result)
                    files(f"{owner}-{at}", makers, "All numbers")
        if address := live(block):
            st.link_button(
                "Open the live view",
                address,
                type="tertiary",
                icon=":material/open_in_new:",
                help="The page as it was, with today's model and code: its numbers may differ "
                "from those kept here. Opens beside this one.",
            )
