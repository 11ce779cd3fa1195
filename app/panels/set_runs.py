"""Sets page: a probe over the set, prompts as they come; all heads, one head, and its prompts."""

from dataclasses import replace
from functools import lru_cache

import pandas as pd
import streamlit as st

from app import preflight
from app import sets_choice as state
from app.engine_room import PATIENCE, Answer, ask, cancel, engine, problems
from app.panels.exhibits import exhibit
from app.panels.result_view import result_view
from app.panels.set_shelf import Shelf, rows_of
from app.plain import plain
from app.sets_choice import Choice
from interp.catalog import titles
from interp.engine.works import seconds_for
from interp.printing import number
from interp.registry import PROBES
from interp.result import Result
from interp.score_grid import score_grid
from interp.set_runs.head import head_result
from interp.set_runs.request import OVER_SETS, SetRequest, digest
from interp.set_runs.runs import Done, SetRun, SoFar
from interp.set_runs.work import about_tokens, set_work
from interp.sets.words import visible_words
from interp.subject import Card

MOST_SEED = 10**9 - 1


def controls(choice: Choice, found: Shelf) -> None:
    """Model, probe, how many prompts, seed: in the sidebar."""
    called = titles()
    names = list(dict.fromkeys([*called, choice.model]))
    st.session_state.update(
        {"sets_model": choice.model, "sets_probe": choice.probe, "sets_seed": choice.seed}
    )
    st.selectbox(
        "Model",
        names,
        key="sets_model",
        format_func=lambda name: called.get(name, name),
        on_change=lambda: state.change(model=st.session_state["sets_model"], layer=None),
    )
    st.selectbox(
        "Probe",
        OVER_SETS,
        key="sets_probe",
        format_func=lambda name: PROBES[name].title,
        help="Probes that read prompts. The others read random tokens, whatever the prompt.",
        on_change=lambda: state.change(probe=st.session_state["sets_probe"], score=""),
    )
    if found.rows:
        st.session_state["sets_n"] = min(choice.prompts, len(found.rows))
        st.number_input(
            f"Prompts, of {len(found.rows):,}",
            1,
            len(found.rows),
            key="sets_n",
            help="The first ones of the set. Prompts that are done are kept: more of them later "
            "only measures what is new.",
            on_change=lambda: state.change(prompts=st.session_state["sets_n"] or 1),
        )
    st.number_input(
        "Seed",
        0,
        MOST_SEED,
        key="sets_seed",
        help="Of the random-init twin and of bootstraps.",
        on_change=lambda: state.change(seed=st.session_state["sets_seed"] or 0),
    )


def request_for(choice: Choice, found: Shelf) -> SetRequest:
    """What is asked, as the terminal asks it."""
    asked = choice.prompts, choice.probe, choice.seed
    return request_of(
        found.one.id, found.one.name, found.version.number, found.version.sha256, *asked
    )


@lru_cache(maxsize=8)  # of equal requests only one has to be digested
def request_of(
    set_id: str, name: str, number: int, sha256: str, prompts: int, probe: str, seed: int
) -> SetRequest:
    """The request of a set's version."""
    rows = rows_of(set_id, number, sha256)
    return SetRequest(set_name=name, source=sha256, rows=rows[:prompts], probe=probe, seed=seed)


def run(choice: Choice, card: Card, found: Shelf) -> tuple[SetRun | None, int]:
    """Run with its forecast, or what was found; and how much is on its way."""
    request = request_for(choice, found)
    work = set_work(card, request)
    done = engine().cache.get(work.key)
    problem = problems().get(work.key, "")
    if done is None and (problem or not choice.started):
        if problem:
            st.warning(plain(problem) + " Finished prompts are kept.")
        seconds = preflight.duration(seconds_for(card, about_tokens(card, request)))
        st.button(
            f"Run {PROBES[choice.probe].title} over {len(request.rows):,} prompts ({seconds})",
            key="run-set",
            type="primary",
            help="In the background; it can be cancelled, and goes on later from where it was.",
            on_click=pressed,
            args=(work.key,),
        )
        return None, 0
    if done is None:
        answer = ask(work, "set", PATIENCE)
        if answer.pending:
            on_its_way(answer)
            return None, 1
        if answer.problem:
            st.rerun()
        done = answer.result
    return done, 0


def pressed(key: str) -> None:
    """Run was pressed."""
    problems().pop(key, None)
    state.change(started=True)


@st.fragment(run_every=1.0)
def on_its_way(pending: Answer) -> None:
    """Progress with Cancel and the latest prompts; the page is drawn anew only at the end."""
    now = ask(pending.work, pending.slot)
    bar = st.container(horizontal=True, vertical_alignment="center")
    words = f"{now.words[:1].upper()}{now.words[1:]}"
    bar.container(width="stretch").progress(min(1.0, now.fraction), text=plain(words))
    bar.button("Cancel", key="cancel_set", on_click=cancel, args=([pending],))
    if isinstance(now.partial, SoFar):
        with st.container(key="of-set-partial-notes"):
            st.caption(
                f"{now.partial.done:,} of {now.partial.total:,} prompts so far, the latest first; "
                "heads, intervals and nulls come at the end."
            )
            rows = [line(one) for one in now.partial.latest]
            st.dataframe(pd.DataFrame(rows), hide_index=True, height=250)
    if not now.pending:
        st.rerun()


def line(one: Done) -> dict[str, str]:
    """A prompt for people, while the run goes on."""
    tokens = f"{one.found.tokens:,}" if one.found else ""
    return {
        "row": f"{one.row.row:,}",
        "prompt": visible_words(one.row.text, 80),
        "tokens": tokens,
        "outcome": "done" if one.found else one.refused,
    }


def results(choice: Choice, ran: SetRun) -> None:
    """All heads by a score, then one head, then everything that the set says as a whole."""
    scores = {score.key: score for score in ran.result.scores}
    key = choice.score if choice.score in scores else next(iter(scores))
    ranking = scores[key].ranking()
    there = choice.layer is not None and (choice.layer, choice.head) in ranking
    here = (choice.layer, choice.head) if there else ranking[0]
    with st.container(horizontal=True):
        st.session_state.update({"sets_score": key, "sets_head": here})
        st.selectbox(
            "Score",
            list(scores),
            key="sets_score",
            format_func=lambda name: scores[name].title,
            width=320,
            on_change=lambda: state.change(score=st.session_state["sets_score"]),
        )
        st.selectbox(
            "Head, strongest first",
            ranking,
            key="sets_head",
            format_func=lambda at: (
                f"L{at[0]}H{at[1]}: {number(scores[key].value[at])} "
                f"{scores[key].unit}, n = {scores[key].n[at]:,}"
            ),
            width=320,
            on_change=pick,
        )
    st.markdown(f"##### What makes L{here[0]}H{here[1]} fire")
    one = of_head(ran, key, *here)
    with st.container(key="of-set-head-answer"):
        st.markdown(f"**{plain(one.answer)}**")
    ends, rest = one.tables[:-1], one.tables[-1:]  # of the last, all prompts, they are the ends
    for table in ends:
        exhibit("set-head", one, table)
    result_view("set-head", replace(one, answer="", tables=rest))
    st.markdown("##### All heads over the set")
    exhibit("set-grid", ran.result, score_grid(ran.result.score(key)))
    result_view("set-all", replace(ran.result, answer=""))


def pick() -> None:
    """Another head was chosen."""
    layer, head = st.session_state["sets_head"]
    state.change(layer=layer, head=head)


def of_head(ran: SetRun, key: str, layer: int, head: int) -> Result:
    """One head's Result; a page asks for the same one at every rerun."""
    name = digest([ran.card.digest, "set head", ran.request.plain(), key, layer, head])
    found = engine().cache.get(name)
    if found is None:
        found = head_result(ran, key, layer, head)
        engine().cache.put(name, found)
    return found
