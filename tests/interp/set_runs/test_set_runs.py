"""Probes over a set: against explicit matrices, by hand; stopped and resumed; what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp.adapters.own import Own
from interp.progress import Cancelled, Silent
from interp.result import Result
from interp.score_grid import score_grid
from interp.set_runs.head import head_result
from interp.set_runs.request import OVER_SETS, SetRequest
from interp.set_runs.rows import KeptPrompts, file_of
from interp.set_runs.run import run_over
from interp.set_runs.runs import SetRun, SoFar
from interp.set_runs.token_classes import CLASSES, by_class, classes_of, uniform_received
from interp.set_runs.work import about_tokens, set_work
from interp.sets.rows import PromptRow
from interp.subject import Refused, Subject

PROMPTS = (
    PromptRow(3, "In 1999 Al saw 2 cats.", "b"),
    PromptRow(1, "Zebra!  \n(x = 7)", "a", "z"),
    PromptRow(9, "the owl and the fox", "a"),
    PromptRow(4, "<b>$x$</b> \u202e=1+1 abcdefg", ""),
)


def request(**more: Any) -> SetRequest:
    """A run over the four prompts."""
    return SetRequest(**{"set_name": "mine", "source": "0a" * 32, "rows": PROMPTS} | more)


@pytest.fixture(scope="module")
def tiny(own: Callable[..., Own]) -> Own:
    return own(n_ctx=64)


@pytest.fixture(scope="module")
def whole(tiny: Own, tmp_path_factory: pytest.TempPathFactory) -> tuple[SetRun, Path]:
    """One run without a stop, and the file it left."""
    path = tmp_path_factory.mktemp("whole") / "rows"
    return run_over(tiny, request(), Silent(), KeptPrompts(path)), path


def explicit(subject: Subject, text: str) -> np.ndarray:
    """Every head's whole matrix, [L, H, T, T], by the model's own hook."""
    found: dict[int, torch.Tensor] = {}
    names = {
        f"blocks.{layer}.attn.hook_pattern": lambda x, at=layer: found.update({at: x[0].clone()})
        for layer in range(subject.card.n_layers)
    }
    subject.forward(torch.tensor([subject.encode(text).ids]), names)
    return torch.stack([found[at] for at in sorted(found)]).double().numpy()


def test_every_number_is_that_of_the_explicit_matrices(tiny: Own, whole: Any) -> None:
    ran, _ = whole
    twin = tiny.twin(0)
    for model, of in ((tiny, "value"), (twin, "null")):
        every = [explicit(model, row.text) for row in PROMPTS]
        sink = np.stack([a[..., 0].mean(-1) for a in every], -1)
        score = ran.result.score("sink")
        shown = score.value if of == "value" else score.controls[0].value
        np.testing.assert_allclose(shown, sink.mean(-1), atol=2e-6)
        np.testing.assert_allclose(ran.samples("sink", of == "null"), sink, atol=2e-6)
        for at, a in enumerate(every):
            classes = classes_of([tiny.decode([i]) for i in tiny.encode(PROMPTS[at].text).ids])
            given = np.stack([a[..., classes == c].sum((-1, -2)) for c in range(len(CLASSES))])
            there = np.isin(np.arange(len(CLASSES)), classes)
            got = ran.received(of == "null")[..., at]
            np.testing.assert_allclose(got[there], given[there] / a.shape[-1], atol=2e-6)
            assert np.isnan(got[~there]).all()
    assert np.all(ran.result.score("sink").n == 4)
    mean = ran.result.figures[0]
    np.testing.assert_allclose(mean.value, ran.samples("sink").mean(), atol=1e-9)
    np.testing.assert_allclose(mean.null, ran.samples("sink", True).mean(), atol=1e-9)


def test_intervals_are_over_prompts(whole: Any) -> None:
    score, samples = whole[0].result.score("sink"), whole[0].samples("sink")
    assert np.all(score.low >= samples.min(-1) - 1e-9)
    assert np.all(score.high <= samples.max(-1) + 1e-9)
    assert np.all((score.low < score.value) & (score.value < score.high))
    assert "prompts" in score.n_of and score.controls[0].is_null


def test_kinds_of_tokens_by_hand() -> None:
    texts = [
        "The",
        " cat",
        "s",
        " and",
        " the",
        "re",
        ",",
        " 42",
        "nd",
        "\n",
        " McD",
        "it",
        "'",
        "s",
        " It",
    ]
    kinds = [CLASSES[c] for c in classes_of(texts)]
    assert kinds == [
        "first token", "other", "other", "function word", "other", "other", "punctuation", "digits",
        "other", "blank", "capitalised", "other", "punctuation", "other", "function word",
    ]  # fmt: skip
    assert [CLASSES[c] for c in classes_of(["x", "IN", " Paris", "²", "☃", "\u200d", ""])][1:] == [
        "capitalised", "capitalised", "digits", "punctuation", "other", "blank",
    ]  # fmt: skip


def test_uniform_attention_gives_early_tokens_more() -> None:
    np.testing.assert_allclose(uniform_received(3), [11 / 18, 5 / 18, 2 / 18])
    found = by_class(uniform_received(3), np.array([0, 2, 2]))
    np.testing.assert_allclose(found[[0, 2]], [11 / 18, 7 / 18])
    assert np.isnan(found[1])
    matrix = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(uniform_received(5), matrix.mean(0))


def test_the_highest_and_lowest_prompts_of_a_head(whole: Any) -> None:
    ran, _ = whole
    values = ran.samples("sink")[1, 2]
    found = head_result(ran, "sink", 1, 2)
    by_key = {table.key: table for table in found.tables}
    order = np.argsort(-values)
    every = by_key["prompts"].columns
    assert list(every[0].values) == [str(PROMPTS[at].row) for at in order]
    np.testing.assert_allclose(by_key["highest"].columns[1].values, values[order[:2]])
    np.testing.assert_allclose(by_key["lowest"].columns[1].values, values[order[::-1][:2]])
    np.testing.assert_allclose(every[2].values, ran.samples("sink", True)[1, 2][order])
    lengths = [len(PROMPTS[at].text.encode()) for at in order]  # a tiny model reads bytes
    assert [int(x) for x in every[7].values] == lengths
    uniform = [np.mean(1 / np.arange(1, int(n) + 1)) for n in every[7].values]
    np.testing.assert_allclose(every[6].values, uniform, atol=1e-9)
    assert f"row {PROMPTS[order[0]].row}" in found.answer
    assert "\u202e" not in found.to_json() and "\\\\u202e" in found.to_json()
    assert Result.from_json(found.to_json()).to_json() == found.to_json()


def test_labels_are_compared(whole: Any) -> None:
    curve = next(c for c in head_result(whole[0], "sink", 0, 1).curves if c.key == "by_label")
    assert curve.labels == ("a", "b", "no label")
    values = whole[0].samples("sink")[0, 1]
    np.testing.assert_allclose(curve.series[0].value, [values[1:3].mean(), values[0], values[3]])
    assert list(curve.series[0].n) == [2, 1, 1] and curve.series[1].role == "null"


def test_a_map_of_heads_has_its_null(whole: Any) -> None:
    score = whole[0].result.score("sink")
    shown = score_grid(score)
    assert shown.value is score.value and list(shown.nulls) == ["random-init twin"]
    assert shown.n == 4


@dataclass
class Watching:
    """Remembers what was shown, and cancels when so many prompts are there."""

    after: int | None = None
    shown: list[SoFar] = field(default_factory=list)
    layers: int = 0
    breaths: int = 0

    def step(self, done: int, total: int, note: str) -> None:
        self.layers += "reading the prompt" in note
        if self.after is not None and len(self.shown) >= self.after:
            raise Cancelled

    def breathe(self) -> None:
        self.breaths += 1

    def show(self, partial: SoFar) -> None:
        self.shown.append(partial)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_stopped_run_goes_on_where_it_was(
    tiny: Own, whole: Any, tmp_path: Path, after: int
) -> None:
    path = tmp_path / "rows"
    with pytest.raises(Cancelled):
        run_over(tiny, request(), Watching(after), KeptPrompts(path))
    before = path.read_bytes() if path.exists() else b""
    assert len(KeptPrompts(path).prompts) == after
    watching = Watching()
    ran = run_over(tiny, request(), watching, KeptPrompts(path))
    assert ran.result.to_json() == whole[0].result.to_json()
    assert path.read_bytes().startswith(before)
    passes = watching.layers / (tiny.card.n_layers + 1)
    assert passes == 2 * (4 - after)  # the model's and the twin's, of prompts that were not kept
    assert [shown.done for shown in watching.shown] == [1, 2, 3, 4]
    assert watching.shown[-1].latest[0].row is PROMPTS[-1] and watching.breaths >= passes


def test_a_torn_line_costs_one_prompt(tiny: Own, whole: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(whole[1].read_bytes()[:-40] + b'\n["prompt", "x", {"tokens": 1}]\n[1]\n\xff\n')
    assert len(KeptPrompts(path).prompts) == 3
    ran = run_over(tiny, request(), Silent(), KeptPrompts(path))
    assert ran.result.to_json() == whole[0].result.to_json()


def test_a_result_survives_json(whole: Any) -> None:
    found = whole[0].result
    assert Result.from_json(found.to_json()).to_json() == found.to_json()
    assert "4 prompts of ‘mine’" in found.answer and "twin" in found.answer


def test_prompts_that_cannot_run_are_listed_with_the_reason(tiny: Own, tmp_path: Path) -> None:
    rows = (*PROMPTS, PromptRow(20, "x" * 65), PromptRow(21, "short"))
    asked = request(rows=rows, probe="concentration")
    ran = run_over(tiny, asked, Silent(), KeptPrompts(tmp_path / "rows"))
    table = next(t for t in ran.result.tables if t.key == "refused")
    assert list(table.columns[0].values) == ["20", "21"] and table.n == 2
    assert "65 tokens; the limit is 64, because the model's context" in table.columns[1].values[0]
    assert "needs 10 tokens" in table.columns[1].values[1]
    assert np.all(ran.result.score("S").n == 4)
    with pytest.raises(Refused, match="None of the prompts could run; the first: The prompt is 65"):
        run_over(tiny, request(rows=rows[4:5]), Silent(), KeptPrompts(tmp_path / "more"))


@pytest.mark.parametrize("variant", ["delta", "sink_logit", "window"])
def test_other_matrices_are_read_as_what_they_are(
    own: Callable[..., Own], tmp_path: Path, variant: str
) -> None:
    subject = own(variant, n_ctx=64)
    for name in OVER_SETS:
        asked = request(probe=name)
        ran = run_over(subject, asked, Silent(), KeptPrompts(tmp_path / name))
        shares = ran.received()
        assert (shares is None) == (not subject.card.reads_shares)
        assert ("receivers" in [t.key for t in ran.result.tables]) == (shares is not None)
        if shares is None:
            assert any("left out" in note for note in ran.result.notes)
            assert ran.result.scores[0].provenance in ("proxy", "measured")
        else:
            total = np.nansum(shares, 0)
            assert np.all(total <= 1 + 1e-5)
            assert np.allclose(total, 1, atol=1e-5) == subject.card.row_stochastic
        assert head_result(ran, ran.scores[0], 0, 0).tables


def test_what_is_asked_wrong_is_refused() -> None:
    for wrong, words in (
        ({"rows": ()}, "no prompts"),
        ({"probe": "induction"}, "reads random tokens"),
        ({"source": "../x"}, "sha256"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ValueError, match=words):
            request(**wrong)


def test_work_is_named_by_content_and_kept_under_no_word_of_a_user(
    tiny: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADLAMP_HOME", str(tmp_path))
    evil = request(set_name="../../evil")
    assert file_of(tiny.card, evil).parent == tmp_path / "sets"
    assert "evil" not in str(file_of(tiny.card, evil))
    keys = {
        set_work(tiny.card, one).key
        for one in (request(), request(seed=1), request(rows=PROMPTS[:2]), request(probe="sinks"))
    }
    assert len(keys) == 3 and about_tokens(tiny.card, request()) > 2 * 70
    more = request(rows=PROMPTS * 100)
    assert set_work(tiny.card, more).bytes_needed > set_work(tiny.card, request()).bytes_needed
