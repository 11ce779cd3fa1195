"""Add to dashboard: a button beside every Result that is shown, and the dialog it opens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from app.dashboard_choice import HERE
from app.downloads import Exhibit
from app.export.parts import ALL, FIGURES
from app.plain import plain
from app.store_room import actor, barred, store
from interp.labels import told_apart
from interp.registry import PROBES
from interp.result import Result, Score
from interp.store import Conflict, Dashboard, Panel, StoreError, Thing, Version
from interp.studies.registry import STUDIES

MOST = 8 * 2**20  # bytes of a Result's JSON; the largest of the shipped models' have 0.6 MB
LONGEST = 200  # characters of a title
TOLD = 40  # of them that are repeated when something was added
NEW = ""  # stands for a dashboard that is yet to be made


@dataclass(frozen=True)
class Offer:
    """What a button would add: Results, what is shown of them, and where to see it live."""

    results: tuple[Result, ...]
    kind: str  # as app.export.parts has it
    page: str  # file name of the page, without ending
    query: Mapping[str, str]
    title: str


def keep(
    name: str,
    result: Result | Sequence[Result],
    shown: Exhibit | Score | str = ALL,
    words: str = "Add to dashboard",
) -> None:
    """The button; `name` is unique on the page. It stands beside popovers, never in one: an open
    popover would lie over the dialog.

    `shown` is the exhibit or score of one Result that stands here, or the kind of a panel of one
    or several ("all", "figures").
    A dashboard shows no such button, as everything on it is kept already.
    """
    page = st.session_state.get("carry_page", "")
    if page == HERE:
        return
    st.button(
        words,
        key=f"keep-{name}",
        type="tertiary",
        icon=":material/dashboard_customize:",
        help="Keeps these numbers as they are now, with a link to this view.",
        on_click=offered,
        args=(result, shown),
    )


def offered(result: Result | Sequence[Result], shown: Exhibit | Score | str) -> None:
    """The button was pressed: the dialog opens in this run and stays through others."""
    results = (result,) if isinstance(result, Result) else tuple(result)
    if isinstance(shown, str):
        kind, title = shown, name_of(results[0], shown)
    else:
        found, kind = part_of(results[0], shown)
        results, title = (found,), shown.title
    page = st.session_state.get("carry_page", "")
    offer = Offer(results, kind, page, st.query_params.to_dict(), title[:LONGEST])
    st.session_state["keep_offer"] = offer
    for key in ("keep_problem", "keep_title", "keep_to", "keep_new"):
        st.session_state.pop(key, None)


def part_of(result: Result, shown: Exhibit | Score) -> tuple[Result, str]:
    """The Result and the kind that shows this of it.

    A map of a score that a page drew is kept as the score, so that the Result stays what its probe
    gives; any other exhibit that is not in the Result is put in.
    """
    if any(shown is one for one in (*result.scores, *result.curves, *result.heats, *result.tables)):
        return result, shown.key
    for score in result.scores:
        if score.value is getattr(shown, "value", None):
            return result, score.key
    field = f"{type(shown).__name__.lower()}s"
    return replace(result, **{field: (*getattr(result, field), shown)}), shown.key


def name_of(result: Result, kind: str) -> str:
    """What a panel of a whole Result, or of its model-wide numbers, is called at first."""
    known = {**PROBES, **STUDIES}
    title = known[result.probe].title if result.probe in known else result.probe.capitalize()
    return f"{title}: {'numbers of the whole' if kind == FIGURES else 'all numbers'}"


def show_offer() -> None:
    """The dialog while something is offered, and the word that it was added; once a page."""
    if words := st.session_state.pop("keep_done", ""):
        st.toast(words, icon=":material/check:", duration="long")
    offer = st.session_state.get("keep_offer")
    if offer is None:
        return
    if "card" in st.query_params:  # a head's card is open, and there is room for one dialog
        closed()
        return
    shown = st.dialog("Add to dashboard", icon=":material/dashboard_customize:", on_dismiss=closed)
    shown(contents)(offer)


def closed() -> None:
    """The dialog was closed."""
    st.session_state.pop("keep_offer", None)


def contents(offer: Offer) -> None:
    """Which dashboard, under which titles; why it cannot be added, where it cannot."""
    if st.session_state.get("keep_offer") is not offer:
        st.rerun()  # it was added: without this the dialog would stay
    try:
        reason, known = barred("create", Thing("dashboard")), editable()
    except StoreError as problem:
        reason = str(problem)
    if reason:
        st.info(plain(reason))
        return
    st.caption(plain(said(offer.results)))
    titles = told_apart({one.id: one.title for one in known}) | {NEW: "A new dashboard"}
    st.session_state.setdefault("keep_title", offer.title)
    last = st.session_state.get("keep_last")
    if st.session_state.get("keep_to") not in titles:  # not chosen yet, or deleted meanwhile
        st.session_state["keep_to"] = last if last in titles else next(iter(titles))
    st.text_input("Title of the panel", key="keep_title", max_chars=LONGEST)
    st.selectbox("Dashboard", list(titles), key="keep_to", format_func=titles.get)
    if st.session_state["keep_to"] == NEW:
        st.text_input(
            "Title of the new dashboard",
            key="keep_new",
            max_chars=LONGEST,
            placeholder="My findings",
        )
    if problem := st.session_state.get("keep_problem"):
        st.error(plain(problem))
    st.button("Add", key="keep_add", type="primary", on_click=pressed, args=(offer,))


def said(results: Sequence[Result]) -> str:
    """What is about to be kept, and what is still missing of it."""
    words = " ".join(f"{one.probe} on {one.model}, digest {one.digest}." for one in results)
    scores = [score for result in results for score in result.scores]
    if any(not score.controls and not score.note for score in scores):
        words += (
            " Its nulls are still being measured: added now, it stays without them; wait, and "
            "they are kept with it."
        )
    return words


def editable() -> Sequence[Dashboard]:
    """Dashboards that the actor may change, the newest change first."""
    mine = store().dashboards.list(actor())
    return [one for one in mine if store().may(actor(), "edit", one.thing)]


def pressed(offer: Offer) -> None:
    """Add was pressed."""
    to, title = st.session_state["keep_to"], st.session_state["keep_title"].strip()
    new = st.session_state.get("keep_new", "").strip() or "My findings"
    try:
        made = added(replace(offer, title=title), to, new)
    except StoreError as problem:
        st.session_state["keep_problem"] = str(problem)
        return
    closed()
    st.session_state["keep_last"] = made.dashboard_id
    st.session_state["keep_done"] = (
        f"Added to {plain(made.title[:TOLD])}{'…' * (len(made.title) > TOLD)}, version "
        f"{made.number}. "
        f"[Open it]({HERE}?id={made.dashboard_id})"
    )


def added(offer: Offer, to: str, new: str) -> Version:
    """Keep the Result and append its panel to dashboard `to`, or to one made with title `new`.

    Raises StoreError. Somebody else's save in between does no harm: the panel goes behind theirs.
    """
    texts = [result.to_json().encode() for result in offer.results]
    if (most := max(map(len, texts))) > MOST:
        raise StoreError(
            f"This result has {most:,} bytes; a dashboard keeps {MOST:,} of each. Run it on a "
            "shorter prompt or with fewer settings, or download it."
        )
    names = tuple(store().artifacts.put(actor(), text) for text in texts)
    panel = Panel(offer.kind, offer.page, dict(offer.query), title=offer.title, results=names)
    if to == NEW:
        return store().dashboards.save(actor(), None, None, new, [panel])
    newest = store().dashboards.open(actor(), to)
    try:
        return appended(newest, panel)
    except Conflict as lost:
        made = appended(lost.theirs, panel)
        store().dashboards.delete(actor(), lost.yours.dashboard_id)  # it is in `made`
        return made


def appended(newest: Version, panel: Panel) -> Version:
    """The next version, with a panel more."""
    blocks = [*newest.blocks, panel]
    return store().dashboards.save(
        actor(), newest.dashboard_id, newest.number, newest.title, blocks
    )
