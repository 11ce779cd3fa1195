"""The page of a probe: its answer, its heads, its main cause with the null, then its studies."""

import streamlit as st

from app import tables
from app.export.formats import of_result, of_score
from app.kinds import KINDS
from app.panels import heads
from app.panels.figures import figures
from app.panels.files import files
from app.panels.head_card import card_button, show_card
from app.panels.keep import keep
from app.panels.page import on_their_way, others, page, status, studies
from app.panels.scripts import script_of
from app.panels.study import Found, panel
from app.panels.wide_table import wide_table
from app.plain import plain
from app.scene import Scene
from app.starters import STARTERS
from app.state import Selection
from interp.registry import PROBES
from interp.result import Result, Score
from interp.studies.registry import STUDIES

# Side by side each half would be too narrow for a table or a chart.
STACKED = """<style>
  @media (max-width: 1000px) {
    .st-key-halves > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {
      flex-direction: column;
    }
    .st-key-halves [data-testid="stColumn"] {width: 100%; flex: none}
  }
</style>"""


def probe_page(name: str, probes: tuple[str, ...]) -> None:
    """A page whose grid of heads is coloured by scores of `probes` and of its studies."""

    def ready(scene: Scene, selection: Selection) -> bool:
        done = scene.results.keys() | scene.refusals.keys()
        return bool(scene.mosaic) and set(probes) <= done

    def draw(scene: Scene, selection: Selection) -> int:
        refusals = [scene.refusals[p] for p in probes if p in scene.refusals]
        results = {p: scene.results[p] for p in probes if p in scene.results}
        if not results:
            st.info(plain(" ".join(refusals)))
            return 0
        return draw_page(name, results, scene, selection)

    page(PROBES[probes[0]].question, ready, draw)


def draw_page(name: str, results: dict[str, Result], scene: Scene, selection: Selection) -> int:
    """Everything, once the scores are in."""
    own = {score.key: score for result in results.values() for score in result.scores}
    main = own.get(selection.metric) or next(iter(own.values()))
    here = heads.head_of(selection, scene.card, main.ranking()[0])
    found = studies(name, scene, selection, here)
    causes = [one for key, one in found.items() if STUDIES[key].part == "cause"]
    headline(scene, selection, results, main)
    status(scene)
    st.html(STACKED)
    with st.container(key="halves"):
        left, right = st.columns([5, 6], gap="medium")
    with left:
        scores = own | study_scores(found)
        shown = scores.get(selection.metric, main)
        heads.controls(selection, scores)
        heads.grid(scene, shown, selection, here)
        grid_words(scene, selection, shown)
    with right:
        if causes:
            panel(scene, selection, causes[0], here, beside=True)
        over_all_heads(results)
    head_numbers(results, here, selection)
    rest = {key: one for key, one in found.items() if one not in causes[:1]}
    others(scene, selection, rest, here)
    show_card(scene, selection)
    return on_their_way(found)


def study_scores(found: dict[str, Found]) -> dict[str, Score]:
    """Scores of heads of the studies that are done."""
    done = [one.result for one in found.values() if one.result]
    return {score.key: score for result in done for score in result.scores}


def headline(scene: Scene, selection: Selection, results: dict[str, Result], score: Score) -> None:
    """The answer, what it was measured on, and its definition one click away."""
    probe = next(name for name, result in results.items() if score in result.scores)
    title = plain(scene.card.title)
    where = f"Saved results of {title}" if scene.stored else title
    look = STARTERS[selection.starter].look if scene.stored else ""
    with st.container(key="headline"), st.container(key=f"of-{probe}-{score.key}", gap="xsmall"):
        st.markdown(f"#### {plain(tables.answer(score, heads.threshold(selection)))}")
        st.caption(
            f"{where}, digest {scene.card.digest}, {len(scene.tokens.ids):,} tokens. "
            f"n counts {plain(score.n_of)}; in brackets 95 % bootstrap intervals; "
            f"{plain(null_words(score))}. {look}"
        )
        definition(score, results[probe])


def null_words(score: Score) -> str:
    """Against what a score is held."""
    nulls = [c.name for c in score.controls if c.is_null]
    checks = [c.name for c in score.controls if not c.is_null]
    none = "none" if score.note else "on its way"
    words = f"null: {', '.join(nulls) or none}"
    return f"{words}; check: {', '.join(checks)}" if checks else words


def definition(score: Score, result: Result) -> None:
    """What the number is, whose definition it is, what its controls should do, and its data."""
    with st.container(horizontal=True, gap="small"):
        with st.popover("Definition and data", type="tertiary", icon=":material/menu_book:"):
            st.markdown(
                f"**{plain(score.title)}** ({plain(score.unit)}). {plain(score.definition)}"
            )
            st.caption(plain(f"{score.source}. {score.note}"))
            for control in score.controls:
                st.caption(plain(f"{control.name}: {control.expectation}."))
            st.caption(f"{score.provenance}: {KINDS[score.provenance]}.")
            files(f"{result.probe}-{score.key}", of_score(result, score))
            files(result.probe, of_result(result) | script_of(result), "All heads")
        keep(f"{result.probe}-{score.key}", result, score)
        keep(result.probe, result, words="Add all metrics to dashboard")


def grid_words(scene: Scene, selection: Selection, score: Score) -> None:
    """What colours the grid, how many heads stand apart, and a metric that is not here."""
    threshold = heads.threshold(selection)
    note = "" if score.controls else f" {score.note}"
    with st.container(key=f"of-grid-{score.key}"):
        st.caption(
            plain(
                f"{score.title}, {score.unit}; n counts {score.n_of}; {null_words(score)}. "
                f"{tables.many_words(score, threshold)}.{note} Intervals are in the tooltips."
            ),
            help=plain(f"{score.definition} {score.source}."),
        )
    known = heads.metric_scores(scene)
    if selection.metric not in known and selection.metric != score.key:
        st.info(heads.why_not(scene, selection.metric, score))


def over_all_heads(results: dict[str, Result]) -> None:
    """Numbers of the whole model."""
    if any(result.figures for result in results.values()):
        st.markdown("##### Over all heads")
    for result in results.values():
        figures(result)


def head_numbers(results: dict[str, Result], here: tuple[int, int], selection: Selection) -> None:
    """The page's numbers of one head, each with interval, n, verdict, rank and controls."""
    layer, head = here
    st.markdown(f"##### What L{layer}H{head} measures")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=420):
            threshold = heads.fdr_control(selection)
        card_button(*here)
    with st.container(key="of-head-table"):
        wide_table(tables.head_numbers(results, layer, head, False, threshold), key="head")
        st.caption(
            "In brackets: 95 % bootstrap intervals. Nulls: the random-init twin, and the fresh "
            "second copy for induction and duplicates; the other columns are checks and closed "
            "forms. Rank 1 is the strongest of all heads.",
            help=" ".join(f"{kind}: {words}." for kind, words in KINDS.items()),
        )
