"""Compare page, piece by piece: what to compare, how far it is, and what was found."""

from dataclasses import dataclass, field

import streamlit as st

from app import compare_choice as state
from app import preflight
from app.compare_choice import FEWEST, MOST, Choice
from app.engine_room import PATIENCE, Answer, ask, engine, problems, watch
from app.panels.exhibits import NARROW, exhibit
from app.panels.keep import keep
from app.plain import plain
from app.scene import subject_of
from interp.catalog import titles
from interp.compare.metrics import SORTS
from interp.compare.reading import MOST_CHARACTERS, CompareRequest, Reading
from interp.compare.seeds import siblings
from interp.compare.shown import compared
from interp.compare.work import compare_work, seconds
from interp.engine.job import Work
from interp.listing import listed
from interp.result import Result

FREE = 30.0  # seconds that a page takes without being asked


@dataclass
class Gathered:
    """What there is of a comparison."""

    readings: dict[str, Reading] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    pending: list[Answer] = field(default_factory=list)
    seconds: float = 0.0  # what is not started would take about so long
    stopped: bool = False  # something was cancelled or went wrong, and may be tried again
    keys: list[str] = field(default_factory=list)  # of what is done


def controls(choice: Choice) -> None:
    """The sidebar: models, prompt, seeds."""
    called, names = titles(), list(dict.fromkeys([*listed(), *choice.models]))
    shown = {
        "c_models": list(choice.models),
        "c_text": choice.text,
        "c_opened": choice.opened,
        "c_seeds": choice.seeds,
        "c_seed": choice.seed,
    }
    st.session_state.update(shown)
    with st.sidebar:
        st.multiselect(
            f"Models ({FEWEST} to {MOST})",
            names,
            key="c_models",
            format_func=lambda name: called.get(name, name),
            max_selections=MOST,
            accept_new_options=True,
            help="Type a name that is not in the list, such as zoo-mha-seed1 or a Hugging Face "
            "name (org/model).",
            on_change=lambda: state.change(models=tuple(st.session_state["c_models"])),
        )
        st.text_area(
            "Prompt",
            key="c_text",
            height=140,
            max_chars=MOST_CHARACTERS,
            on_change=lambda: state.change(text=st.session_state["c_text"]),
        )
        st.checkbox(
            "Put the token that opens a text before it",
            key="c_opened",
            help="Where a model's tokenizer has one. Off: token 0 is the prompt's first, as on the "
            "other pages.",
            on_change=lambda: state.change(opened=st.session_state["c_opened"]),
        )
        st.checkbox(
            "Other seeds beside",
            key="c_seeds",
            help="The same member of the zoo trained from other seeds, where there are some.",
            on_change=lambda: state.change(seeds=st.session_state["c_seeds"]),
        )
        st.number_input(
            "Seed",
            0,
            10**9 - 1,
            key="c_seed",
            help="Of random tokens, twins and intervals.",
            on_change=lambda: state.change(seed=st.session_state["c_seed"] or 0),
        )


def beside(choice: Choice) -> dict[str, tuple[str, ...]]:
    """Names that stand behind each chosen model: itself, then the other seeds."""
    return {
        name: tuple(dict.fromkeys([name, *siblings(name)])) if choice.seeds else (name,)
        for name in choice.models
    }


def gather(choice: Choice, request: CompareRequest) -> Gathered:
    """Every model as far as it is measured; starts what takes little, or was asked for."""
    found, todo = Gathered(), {}
    for name in dict.fromkeys(one for group in beside(choice).values() for one in group):
        work = work_of(name, request, found)
        if work is None:
            continue
        done, problem = engine().cache.get(work.key), problems().get(work.key)
        if done is not None:
            found.readings[name] = done
            found.keys.append(work.key)
        elif problem:
            found.refused[name] = named(name, problem)
            found.stopped = True
        else:
            todo[name] = work
    if found.seconds <= FREE or choice.run:
        found.seconds = 0.0
        for name, work in todo.items():
            take(found, name, ask(work, f"compare {name}", PATIENCE / len(todo)))
    return found


def work_of(name: str, request: CompareRequest, found: Gathered) -> Work | None:
    """What measures a model, once it is loaded; its forecast is added where it is not done."""
    subject, answer = subject_of(name, f"model {name}")
    if subject is None:
        take(found, name, answer)
        return None
    work = compare_work(subject.card, request)
    if engine().cache.get(work.key) is None:
        found.seconds += seconds(subject.card, request)
    return work


def take(found: Gathered, name: str, answer: Answer) -> None:
    """What became of one model."""
    if answer.pending:
        found.pending.append(answer)
    elif answer.problem:
        found.refused[name] = named(name, answer.problem)
        found.stopped = True
    elif isinstance(answer.result, Reading):
        found.readings[name] = answer.result
        found.keys.append(answer.work.key)


def named(name: str, problem: str) -> str:
    """A sentence that names the model it is about."""
    return problem if name in problem else f"{name}: {problem}"


def result_of(choice: Choice, request: CompareRequest, found: Gathered) -> Result | None:
    """The comparison of all models that are done; None for fewer than two."""
    groups = {
        name: [found.readings[one] for one in group if one in found.readings]
        for name, group in beside(choice).items()
        if name in found.readings
    }
    if len(groups) < FEWEST:
        return None
    key = f"compared {choice.sort} {request.seed} {sorted(found.keys)} {list(groups)}"
    key += f" {sorted(found.refused.values())}"
    result = engine().cache.get(key)
    if result is None:
        result = compared(groups, request, choice.sort, found.refused)
        engine().cache.put(key, result)
    return result


def status(choice: Choice, found: Gathered) -> None:
    """Progress, refusals, and Run where it takes long or was stopped."""
    if found.pending:
        watch(found.pending, "compare")
    for sentence in dict.fromkeys(found.refused.values()):
        st.warning(plain(sentence))
    waits = found.seconds > FREE and not choice.run
    if not waits and not found.stopped:
        return
    st.button(
        f"Run ({preflight.duration(found.seconds)})" if waits else "Try again",
        key="run-compare",
        type="primary",
        help="In the background; it can be cancelled.",
        on_click=pressed,
    )


def pressed() -> None:
    """Run was pressed."""
    problems().clear()
    state.change(run=True)


def draw(choice: Choice, result: Result) -> None:
    """Every metric on one axis, then differences, words, texts, seeds and models."""
    st.session_state["c_sort"] = choice.sort
    st.segmented_control(
        "Sort by, most first",
        list(SORTS),
        key="c_sort",
        required=True,
        format_func=lambda key: SORTS[key],
        on_change=lambda: state.change(sort=st.session_state["c_sort"]),
    )
    with st.container(horizontal=True, gap="small"):
        for curve in result.curves:
            exhibit("compare", result, curve, NARROW)
    tables = {one.key: one for one in result.tables}
    for key in ("differences", "texts"):
        if key in tables:
            exhibit("compare", result, tables.pop(key))
    for heat in result.heats:
        exhibit("compare", result, heat)
    for table in tables.values():
        exhibit("compare", result, table)
    with st.container(key="of-compare-notes", gap="xsmall"):
        for note in result.notes:
            st.caption(plain(note))
    st.download_button(
        "All numbers (JSON)",
        data=result.to_json,
        file_name="headlamp-compare.json",
        mime="application/json",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
    keep("compare", result, words="Add all to dashboard")
