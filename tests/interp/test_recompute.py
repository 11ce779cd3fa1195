"""Results computed again: the same numbers where nothing changed, and what a file may not ask."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from interp import rope, summary, variant_lines, variants
from interp.catalog import entries, load
from interp.compare.reading import CompareRequest
from interp.compare.shown import compared
from interp.compare.summaries import summaries
from interp.compare.work import compare_work
from interp.engine.shelf import Shelf
from interp.engine.works import ablation_work, pattern_work, scores_work, study_work
from interp.findings import run as finding
from interp.findings.shown import as_result
from interp.matrices import matrix_result
from interp.measurements.prompt import PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.progress import Silent
from interp.recall import across, example, shown, span
from interp.recall import compared as recall_table
from interp.recall.reading import RecallRequest
from interp.recall.runs import kept, kept_model
from interp.recompute import MAKERS, work_again
from interp.recompute.anew import Anew
from interp.registry import PROBES
from interp.result import Result
from interp.set_runs.request import OVER_SETS
from interp.store.verify import compare
from interp.studies.registry import STUDIES
from interp.studies.study import request_of, settings
from interp.subject import Refused
from interp.summary import SummaryRequest
from interp.system2.choosing import made
from interp.system2.inside.registry import INSIDE
from interp.training.moments import moment_work
from interp.training.shown import trained
from interp.training.snapshots import along
from models.positions.relative import Setting

PROMPT = "The cat sat on the mat. The cat saw the dog, and the dog saw the cat; then it sat."
SMALL = "zoo-mha"
VARIANT = "untrained-delta"  # signed rows: proxies and scores as applied
AMOUNTS = {"passages", "sequences", "draws", "count", "sources", "targets", "writers", "readers"}
QUIET = Silent()


@pytest.fixture(scope="module")
def engine() -> Anew:
    """An engine's shelf without its memory."""
    return Anew(Shelf(load, 2**30))


def ids(engine: Anew, model: str = SMALL) -> tuple[int, ...]:
    """The prompt as a model reads it."""
    return engine.subject(model, QUIET).encode(PROMPT).ids


def again(engine: Anew, frozen: Result) -> Result:
    """A Result off the disk, computed again."""
    return work_again(Result.from_json(frozen.to_json())).run(engine, QUIET)


def stands(engine: Anew, frozen: Result) -> None:
    """Computing it again gives the same; and one other number is found."""
    fresh = again(engine, frozen)
    verdict, _ = compare(frozen, fresh)
    assert verdict.state == "verified", (frozen.probe, verdict.sentence)
    assert verdict.n > 0
    assert fresh.probe == frozen.probe and fresh.request == frozen.request


def scores(engine: Anew, name: str, model: str = SMALL, controls: bool = True) -> Result:
    """A probe's Result."""
    card = engine.subject(model, QUIET).card
    request: Any = RepeatsRequest(length=20, sequences=4, seed=2)
    if PROBES[name].measurement.needs_prompt:
        request = PromptRequest(ids=ids(engine, model), seed=3)
    return engine.compute(scores_work(card, name, request, controls), QUIET)


def study(engine: Anew, name: str, **more: str) -> Result:
    """A study's Result, with the least of everything that says how much is measured."""
    one = STUDIES[name]
    least = {s.name: str(s.low) for s in settings(one) if s.name in AMOUNTS}
    request = request_of(one, least | more, ids=ids(engine), seed=1, layer=1, head=2)
    return engine.compute(study_work(engine.subject(SMALL, QUIET).card, name, request), QUIET)


@pytest.mark.parametrize(
    "name,model",
    [*((name, SMALL) for name in PROBES), ("sinks", VARIANT), ("duplicate-token", VARIANT)],
)
def test_scores_of_heads_are_the_same_again(engine: Anew, name: str, model: str) -> None:
    stands(engine, scores(engine, name, model))


def test_scores_without_nulls_are_computed_without(engine: Anew) -> None:
    stands(engine, scores(engine, "sinks", controls=False))


def test_a_sample_of_rows_is_the_same_sample(engine: Anew) -> None:
    request = PromptRequest(ids=ids(engine), seed=5, rows=7)
    card = engine.subject(SMALL, QUIET).card
    frozen = engine.compute(scores_work(card, "sinks", request, True), QUIET)
    assert int(frozen.scores[0].n.max()) == 7
    stands(engine, frozen)


# One of each way to ask: a prompt, passages, random tokens, weights, one head, words to follow.
QUICK = {"sink-where", "sink-cause", "massive", "induction-olsson", "induction-text", "composition",
         "locality", "block-rank", "logit-lens", "activation-patching"}  # fmt: skip


def studies() -> list[Any]:
    """Studies that the small model can answer; what differs in nothing that is asked is slow."""
    return [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in STUDIES
        if name != "sink-slots"
    ]


@pytest.mark.parametrize("name", studies())
def test_studies_are_the_same_again(engine: Anew, name: str) -> None:
    stands(engine, study(engine, name))


def test_a_study_keeps_its_settings(engine: Anew) -> None:
    frozen = study(engine, "sink-where", eps="0.11", first="2")
    stands(engine, frozen)
    usual = replace(frozen, request=frozen.request | {"eps": 0.3, "first": 4})
    assert compare(frozen, again(engine, usual))[0].state == "differs"


def compared_models(engine: Anew) -> Result:
    """Two models on a prompt, one with another seed beside."""
    request = CompareRequest(text=PROMPT, sequences=4, said=4)
    groups = {"zoo-linear": ["zoo-linear"], SMALL: [SMALL, "zoo-mha_one_layer"]}
    models = {
        name: [
            engine.compute(compare_work(engine.subject(one, QUIET).card, request), QUIET)
            for one in group
        ]
        for name, group in groups.items()
    }
    return compared(models, request, "cache")


def trained_way(engine: Anew) -> Result:
    """Two snapshots of a training."""
    request = SummaryRequest(sequences=2, count=3)
    way = [(one, engine.compute(moment_work(one, request), QUIET)) for one in along(SMALL)[3:5]]
    return trained({SMALL: way}, request)


def recalled(question: Callable, *more: Any) -> Result:
    """A question to a model of the recall task, one with a window."""
    name = next(name for name, run in kept().items() if run.window)
    model = kept_model(name)
    request = RecallRequest(sequences=8, length=model.training.rules.length,
                            pairs=model.training.rules.pairs,
                            vocabulary=model.training.rules.vocab_size)  # fmt: skip
    found = question(model, request, *more, QUIET)
    return getattr(found, "result", found)


def matrix(engine: Anew) -> Result:
    """A head's matrix on a prompt, one of whose characters is two tokens of half a character."""
    subject = engine.subject(SMALL, QUIET)
    tokens = subject.encode(f"Ж! {PROMPT}")
    found = engine.compute(
        pattern_work(subject.card, PromptRequest(ids=tokens.ids, seed=1), 1, 2), QUIET
    )
    return matrix_result(subject.card, tokens.ids, tokens.labels, (1, 2), found.pattern)


def recalled_matrix() -> Result:
    """A head's matrix on a sequence of the recall task."""
    model = kept_model(next(name for name, run in kept().items() if run.window))
    rules = model.training.rules
    request = RecallRequest(
        sequences=8, length=rules.length, pairs=rules.pairs, vocabulary=rules.vocab_size
    )
    return example.head_matrix(model.card, example.run(model, request, 3, QUIET), 1, 0)


def side_by_side() -> tuple[variants.Report, ...]:
    """Two variants, one signed."""
    return variants.compare(
        variants.VariantsRequest(names=("delta", "softmax"), length=16, seed=4), QUIET
    )


OTHERS: dict[str, Callable[[Anew], Result]] = {
    "ablation": lambda e: e.compute(
        ablation_work(e.subject(SMALL, QUIET).card, PromptRequest(ids=ids(e), seed=1), 1, 2), QUIET
    ),
    "summary": lambda e: summary.run(
        e.subject(SMALL, QUIET), SummaryRequest(sequences=4, count=3), QUIET
    ),
    "summaries": lambda e: summaries(
        [e.subject(name, QUIET) for name in (SMALL, "zoo-linear")],
        SummaryRequest(sequences=4, count=3),
        QUIET,
    ),
    "compare": compared_models,
    "training": trained_way,
    "recall": lambda e: recalled(shown.run),
    "recall-window": lambda e: recalled(span.run),
    "recall-example": lambda e: recalled(example.run, 3),
    "recall-table": lambda e: recall_table.compared(),
    "attention-matrix": matrix,
    "recall-matrix": lambda e: recalled_matrix(),
    "variants": lambda e: side_by_side()[1].result,
    "variants-lines": lambda e: variant_lines.lines(side_by_side(), 3),
    "variants-matrix": lambda e: variant_lines.head_matrix(side_by_side()[0], 7),
    "rope-curve": lambda e: rope.read_curve(rope.CurveRequest(base=20000.0), QUIET).result,
    "rope-bound": lambda e: rope.read_bound(512, QUIET),
    "rope-distances": lambda e: rope.distances(
        rope.DistancesRequest(rope=rope.CurveRequest(), setting=Setting(window=9), pair=63)
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=pytest.mark.slow) if x == "summaries" else x for x in OTHERS],
)
def test_other_results_are_the_same_again(engine: Anew, name: str) -> None:
    frozen = OTHERS[name](engine)
    assert frozen.probe == name
    stands(engine, frozen)


@pytest.mark.parametrize("name", INSIDE)
def test_looks_inside_are_the_same_again(engine: Anew, name: str) -> None:
    examples = made("planted", 3, 0, ("neutral", "wrong")).examples
    request = INSIDE[name].request(examples=examples[3:])
    stands(engine, INSIDE[name].run(engine.subject("zoo-planted-softmax", QUIET), request, QUIET))


@pytest.mark.slow
def test_all_recall_models_are_the_same_again(engine: Anew) -> None:
    names = [name for name, run in kept().items() if (run.width, run.pairs) == (32, 8)]
    models = [kept_model(name) for name in names]
    rules = models[0].training.rules
    request = RecallRequest(sequences=8, length=rules.length, pairs=rules.pairs,
                            vocabulary=rules.vocab_size)  # fmt: skip
    stands(engine, across.run(models, request, QUIET))


@pytest.mark.slow
def test_findings_are_the_same_again(engine: Anew) -> None:
    request = SummaryRequest(sequences=2, count=3)
    judged = finding.findings(request, QUIET)
    card = engine.subject(finding.AROUND, QUIET).card
    stands(engine, as_result(judged, card, {**vars(request)}))


def test_an_altered_number_differs(engine: Anew) -> None:
    frozen = scores(engine, "sinks")
    first = frozen.scores[0]
    value = first.value.copy()
    value[0, 1] *= 1.01
    altered = replace(frozen, scores=(replace(first, value=value), *frozen.scores[1:]))
    verdict, kept_one = compare(altered, again(engine, altered))
    assert verdict.state == "differs"
    assert "scores.0.value.0.1" in verdict.sentence
    assert kept_one is altered


def test_a_model_that_changed_has_another_digest_and_is_run_as_it_is_now(engine: Anew) -> None:
    frozen = scores(engine, "sinks")
    fresh = again(engine, replace(frozen, digest="0" * 16))
    assert fresh.digest == frozen.digest
    assert np.array_equal(fresh.scores[0].value, frozen.scores[0].value)


def test_no_number_of_the_frozen_result_is_read(engine: Anew) -> None:
    frozen = scores(engine, "previous-token")
    bare = replace(frozen.scores[0], value=frozen.scores[0].value * np.nan)
    fresh = again(engine, replace(frozen, scores=(bare,)))
    assert compare(frozen, fresh)[0].state == "verified"


def test_every_name_that_a_result_can_have_is_there() -> None:
    names = {*PROBES, *STUDIES, *INSIDE, *OTHERS, "findings", "recall-models", "head-pairs"}
    names |= {"system2", "system2-across"}
    assert names | {f"set-{x}{end}" for x in OVER_SETS for end in ("", "-head")} == set(MAKERS)


def asked(probe: str = "sinks", model: str = SMALL, **request: Any) -> Result:
    """What somebody could write into a file."""
    return Result(
        probe=probe, model=model, digest="0" * 16, device="cpu", request=request, scores=()
    )


def refusal(engine: Anew, frozen: Result) -> str:
    """The sentence, before anything is run or by the run."""
    with pytest.raises(Refused) as caught:
        work_again(frozen).run(engine, QUIET)
    said = str(caught.value)
    assert len(said) < 300 and "\n" not in said
    return said


@pytest.mark.parametrize(
    "model", ["HuggingFaceTB/SmolLM2-360M", "gpt2", "/etc", "../zoo-mha", "", "zoo-mha\n", "x@3"]
)
def test_only_models_of_the_catalogue_are_run(
    engine: Anew, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any) -> None:
        raise AssertionError("nothing may be loaded")

    monkeypatch.setattr(Shelf, "get", forbidden)
    assert "not among the models" in refusal(engine, asked(model=model, ids=[1, 2]))
    with pytest.raises(Refused, match="not among the models"):
        work_again(asked("summaries", models=[SMALL, model]))


HOSTILE: dict[str, Result] = {
    "no field 'ids'|has no ids": asked(),
    "ids is True": asked(ids=[True, 2]),
    "ids is 1.5": asked(ids=[1.5]),
    "ids is no list": asked(ids="12"),
    "no list of at most": asked(ids=[1] * (2**20 + 1)),
    "the limit is": asked(ids=[1] * 2000),
    "tokens; the prompt has -1": asked(ids=[3, -1]),
    "the prompt has 1000000000": asked(ids=[10**9]),
    "without tokens": asked(ids=[]),
    "seed is -1": asked(ids=[1], seed=-1),
    "seed is 1000": asked(ids=[1], seed=10**400),
    "rows is 0": asked(ids=[1], rows=0),
    "sequences is 5000": asked("induction", length=50, sequences=5000),
    "reads 1024 tokens": asked("induction", length=8000, sequences=1),
    "eps is 5.0": asked("sink-where", ids=[1, 2], eps=5),
    "eps is '0.3'": asked("sink-where", ids=[1, 2], eps="0.3"),
    "eps is None": asked("sink-where", ids=[1, 2], eps=None),
    "a field 'zz'": asked("sink-where", ids=[1, 2], zz=1),
    "choose one of": asked("induction-text", ids=[1, 2], text="/etc/passwd"),
    "no head L99H0": asked("locality", ids=[1] * 20, layer=99, head=0),
    "no head L-1H0": asked("ablation", ids=[1] * 5, layer=-1, head=0, method="zero"),
    "names no head": asked("ablation", ids=[1] * 5, layer="1", head=0, method="zero"),
    "made by a study": asked("ablation", ids=[1] * 5, layer=1, head=0, method="<b>"),
    "names no models": asked("compare", text="x"),
    "not sorted by": asked("compare", text="x", seeds={SMALL: [SMALL]}, sort="<b>"),
    "prompt is empty": asked("compare", text=" ", seeds={SMALL: [SMALL]}, sort="loss"),
    "no longer has the snapshots": asked("training", snapshots={SMALL: [1, 2]}),
    "no model of the zoo": asked("training", snapshots={"../mha": [1]}),
    "names no list": asked("summaries", models=[]),
    "is no text": asked("summaries", models=[3]),
    "examples has no item": asked("inside-diff", examples=[{"name": "a"}]),
    "kind is 'evil'": asked(
        "inside-diff",
        examples=[{"name": "a", "item": "b", "form": "c", "right": "r", "suggested": "",
                   "candidates": ["r"], "pieces": [{"text": "t", "kind": "evil"}]}],
    ),
    "names no sequence": asked("recall-example", sequence="1"),
    "names no context": asked("rope-bound", length=True),
    "contexts up to": asked("rope-bound", length=10**9),
    "no attention variant": asked("variants", model="<b>"),
    "has 8 heads and no H8": asked("variants-lines", names=["softmax"], seed=0, length=16, head=8),
    "no H-1": asked("variants-matrix", names=["softmax"], seed=0, length=16, head=-1),
    "is 16 to 128 tokens long": asked("variants-lines", names=["softmax"], length=4096, head=0),
    "up to 128 tokens and settings": asked(
        "rope-distances", rope={}, setting={"length": 8192}, pair=0
    ),
    "has no head L99H1": asked("attention-matrix", ids=[1, 2], layer=99, head=1),
    "by their digest only": asked("set-sinks-head"),
    "cannot name": asked("head-pairs"),
    "read them back": asked("system2-across"),
    "Nothing here makes": asked("<img src=x onerror=alert(1)>"),
}  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_what_a_file_may_not_ask_is_refused_in_a_sentence(engine: Anew, words: str) -> None:
    said = refusal(engine, HOSTILE[words])
    assert any(part in said for part in words.split("|")), said


def test_names_that_a_result_can_have_are_models() -> None:
    assert {SMALL, VARIANT, "zoo-planted-softmax"} <= set(entries())
