"""Training page, piece by piece: which models, how far they are measured, and one snapshot."""

from dataclasses import dataclass, field

import streamlit as st

from app import training_choice as state
from app.engine_room import PATIENCE, Answer, ask, engine, problems, watch
from app.panels.answer import answer
from app.panels.exhibits import NARROW, exhibit
from app.panels.figures import figures
from app.panels.keep import keep
from app.plain import plain
from app.saved_training import all_saved
from app.training_choice import SCORES, Choice
from interp.catalog import titles
from interp.result import Result
from interp.score_grid import score_grid
from interp.subject import Refused
from interp.summary import SummaryRequest
from interp.summary_numbers import HEADS
from interp.training.moments import Moment, key_of, moment_work
from interp.training.phase import Phase, Way, phase, sentence
from interp.training.shown import trained
from interp.training.snapshots import MOST, Snapshot, along, known

REQUEST = SummaryRequest()
TITLES = {one.key: one.title for one in HEADS}
CURVES = 7  # that stand above the chosen snapshot; the others are a click away


@dataclass
class Found:
    """What there is of the chosen models."""

    ways: dict[str, list[tuple[Snapshot, Moment]]] = field(default_factory=dict)
    snapshots: dict[str, tuple[Snapshot, ...]] = field(default_factory=dict)
    pending: list[Answer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left: int = 0  # snapshots that are not measured yet


def controls(choice: Choice) -> None:
    """The sidebar: which models are drawn."""
    called = titles()
    st.session_state["t_models"] = list(choice.models)
    with st.sidebar:
        st.multiselect(
            f"Models with snapshots (at most {MOST})",
            list(known()),
            key="t_models",
            format_func=lambda name: called.get(name, name),
            max_selections=MOST,
            on_change=lambda: state.change(models=tuple(st.session_state["t_models"])),
        )
        st.caption(
            "Models of the zoo that were kept along their training, all on the same data in the "
            "same order. Your own appear here after "
            "python -m models.train --snapshots."
        )


def gather(choice: Choice) -> Found:
    """Every snapshot as far as it is measured: saved, cached, or one after the other now."""
    found = Found()
    for name in choice.models:
        try:
            found.snapshots[name] = along(name)
        except Refused as problem:
            found.problems.append(str(problem))
            continue
        found.ways[name] = [
            (one, moment) for one in found.snapshots[name] if (moment := moment_of(one, found))
        ]
    return found


def moment_of(snapshot: Snapshot, found: Found) -> Moment | None:
    """A snapshot's numbers; where there are none yet, the first such snapshot is started."""
    key = key_of(snapshot, REQUEST)
    done = all_saved().get(key) or engine().cache.get(key)
    if done is not None:
        return done
    if key in problems():
        found.problems.append(f"{snapshot.name}: {problems()[key]}")
        return None
    found.left += 1
    if found.pending or found.problems:
        return None
    asked = ask(moment_work(snapshot, REQUEST), "training", PATIENCE)
    if asked.pending:
        found.pending.append(asked)
    elif asked.problem:
        found.problems.append(f"{snapshot.name}: {asked.problem}")
    return asked.result


def status(found: Found) -> None:
    """Progress with Cancel, and what went wrong."""
    if found.pending:
        st.caption(f"Measuring snapshots, {found.left} to go.", help="In the background, once.")
        watch(found.pending, "training")
    for problem in dict.fromkeys(found.problems):
        st.warning(plain(problem))
    if found.problems and found.left + len(found.problems):
        st.button("Try again", key="run-training", type="primary", on_click=problems().clear)


def snapshot_at(choice: Choice, way: Way, change: Phase | None) -> int:
    """Which of the measured snapshots is looked at: the link's, else what follows the change."""
    steps = [one.step for one, _ in way]
    if choice.step in steps:
        return steps.index(choice.step)
    return steps.index(change.after.step) if change else len(steps) - 1


def slider(choice: Choice, found: Found) -> tuple[Snapshot, Moment]:
    """The model and its snapshot that is looked at."""
    names = [name for name, way in found.ways.items() if way]
    focus = choice.focus if choice.focus in names else names[0]
    way = found.ways[focus]
    at = snapshot_at(choice, way, phase(way, REQUEST.seed))
    by_step = {one.step: one for one, _ in way}
    st.session_state.update({"t_focus": focus, "t_step": way[at][0].step})
    place = {"horizontal": True, "vertical_alignment": "bottom", "gap": "medium"}
    with st.container(key="settings-of-training", **place):
        st.segmented_control(
            "Look at",
            names,
            key="t_focus",
            required=True,
            format_func=lambda name: found.snapshots[name][0].title,
            on_change=lambda: state.change(focus=st.session_state["t_focus"], step=None),
        )
        if len(by_step) > 1:
            st.container(width="stretch").select_slider(
                "Snapshot (step; training tokens)",
                list(by_step),
                key="t_step",
                format_func=lambda step: f"{step:,} · {by_step[step].tokens / 1e6:.1f} M",
                on_change=lambda: state.change(step=st.session_state["t_step"]),
            )
    return way[at]


def curves(result: Result, here: Snapshot) -> None:
    """Every number over training, with a line at the chosen snapshot."""
    first, rest = result.curves[:CURVES], result.curves[CURVES:]
    row(result, first, here)
    if rest and st.toggle(
        "More curves", key="t_more", help="S without token 0, sinks, and the loss on first copies."
    ):
        row(result, rest, here)


def row(result: Result, shown: tuple, here: Snapshot) -> None:
    """Curves side by side as far as there is room."""
    with st.container(horizontal=True, gap="small"):
        for one in shown:
            exhibit("training", result, one, NARROW, mark=float(here.tokens))


def heads(choice: Choice, here: Snapshot, moment: Moment) -> None:
    """One score of every head of the chosen snapshot, and its numbers as a whole."""
    with st.container(key="settings-of-training-step"):
        st.markdown(f"##### {plain(here.title)} at {here.words}")
    st.session_state["t_score"] = choice.score
    there = [key for key in SCORES if key in {score.key for score in moment.summary.scores}]
    st.segmented_control(
        "Score of every head",
        there,
        key="t_score",
        required=True,
        format_func=lambda key: TITLES[key],
        on_change=lambda: state.change(score=st.session_state["t_score"]),
    )
    score = moment.summary.score(st.session_state["t_score"])
    found = score_grid(score, f"{score.title} of every head, {here.words}")
    exhibit("training-grid", moment.summary, found)
    figures(moment.summary, "training-snapshot")


def result_of(found: Found) -> Result | None:
    """All curves; None while there is no snapshot at all."""
    ways = {name: way for name, way in found.ways.items() if way}
    return trained(ways, REQUEST) if ways else None


def headline(choice: Choice, found: Found, result: Result | None) -> None:
    """Where the phase change of every model is, the one that is looked at first."""
    if result is None:
        st.markdown("#### When do models learn to copy?")
        return
    names = sorted((n for n, way in found.ways.items() if way), key=lambda n: n != choice.focus)
    said = [about(found, name) for name in names]
    answer(said[0])
    for one in said[1:]:
        st.markdown(plain(one))


def about(found: Found, name: str) -> str:
    """Where a model's phase change is, once all of its snapshots are measured."""
    way, there = found.ways[name], found.snapshots[name]
    title = there[0].title
    if len(way) < len(there):
        return f"{title}: {len(way)} of {len(there)} snapshots are measured so far."
    return sentence(title, phase(way, REQUEST.seed))


def notes(result: Result) -> None:
    """What has to be known, and all of it as a file."""
    with st.container(key="of-training-notes", gap="xsmall"):
        for note in result.notes:
            st.caption(plain(note))
    st.download_button(
        "All numbers (JSON)",
        data=result.to_json,
        file_name="headlamp-training.json",
        mime="application/json",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
    keep("training", result, words="Add all to dashboard")
