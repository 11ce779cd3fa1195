"""The measurement of a prompt: sampled rows, what is shown meanwhile, controls of long prompts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from interp.adapters.own import Own
from interp.capture import capture
from interp.measurements import prompt
from interp.measurements import rows as rows_module
from interp.measurements.prompt import CONTROL_ROWS, PartialReading, PromptRequest, sampled
from interp.probes.concentration import score_concentration
from interp.probes.sinks import score_sinks
from interp.progress import Silent
from interp.subject import Refused, pattern_name

IDS = tuple(b"a prompt of some forty bytes, read in part.")
NUMBERS = ("row_sum", "mass", "square", "log", "peak", "peak_rest", "rest_mass", "rest_square",
           "rest_log", "first")  # fmt: skip


class Watching(Silent):
    """Keeps what is shown, and where the run stood then."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, PartialReading]] = []
        self.done = -1

    def step(self, done: int, total: int, note: str) -> None:
        self.done = done

    def show(self, partial: PartialReading) -> None:
        self.shown.append((self.done, partial))


def test_a_sample_is_drawn_once_and_rises() -> None:
    at = sampled(100, 10, seed=3)
    assert len(set(at.tolist())) == 10 and torch.equal(at, at.sort().values)
    assert torch.equal(at, sampled(100, 10, seed=3))
    assert not torch.equal(at, sampled(100, 10, seed=4))
    for rows in (100, 101):
        assert torch.equal(sampled(100, rows, seed=3), torch.arange(100))
    hits = torch.stack([sampled(20, 5, seed=s) for s in range(400)]).flatten().bincount()
    assert hits.min() > 60 and hits.max() < 145  # each row is drawn 100 times, give or take


@pytest.mark.parametrize("rows", [0, -3])
def test_no_rows_are_refused(rows: int) -> None:
    with pytest.raises(Refused, match=f"1 query row or more; {rows} were"):
        PromptRequest(ids=IDS, rows=rows)


@pytest.mark.parametrize("variant", ["softmax", "sink_logit", "fox", "strided"])
def test_sampled_rows_are_those_rows(own: Callable[..., Own], variant: str) -> None:
    subject = own(variant)
    whole = prompt.read(subject, PromptRequest(ids=IDS), Silent())
    part = prompt.read(subject, PromptRequest(ids=IDS, rows=9), Silent())
    assert part.rows.length == whole.rows.length == len(IDS) and len(part.rows.at) == 9
    for name in NUMBERS:
        found, expected = getattr(part.rows, name), getattr(whole.rows, name)
        np.testing.assert_allclose(found, expected[:, :, :, part.rows.at], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(part.losses, whole.losses)
    assert part.received is None and whole.received is not None


def test_a_variant_that_cannot_skip_rows_reads_them_all(own: Callable[..., Own]) -> None:
    reading = prompt.read(own("longformer"), PromptRequest(ids=IDS, rows=9), Silent())
    np.testing.assert_array_equal(reading.rows.at, np.arange(len(IDS)))
    words = score_sinks(reading, None, own("longformer").card).scores[0].n_of
    assert words.startswith("query rows of this prompt")


def test_scores_of_a_sample_say_so_and_use_its_rows(own: Callable[..., Own]) -> None:
    subject = own()
    reading = prompt.read(subject, PromptRequest(ids=IDS, rows=12), Silent())
    names = [pattern_name(layer) for layer in range(2)]
    found = capture(subject, torch.tensor([IDS]), names).activations
    at = reading.rows.at.copy()
    sinks = score_sinks(reading, None, subject.card).scores[0]
    expected = [found[name][0, :, at, 0].double().mean(-1).numpy() for name in names]
    np.testing.assert_allclose(sinks.value, expected, rtol=1e-5)
    assert (
        sinks.n == 12
    ).all() and f"12 query rows, drawn at random from this prompt's {len(IDS)}" in sinks.n_of
    assert sinks.uniform == pytest.approx((1 / (at + 1)).mean())
    largest = score_concentration(reading, None, subject.card).score("max")
    late = at[at >= 8]
    expected = [found[name][0][:, late].amax(-1).double().mean(-1).numpy() for name in names]
    np.testing.assert_allclose(largest.value, expected, rtol=1e-5)
    assert (largest.n == len(late)).all()


def test_a_sample_too_small_for_concentration_is_refused(own: Callable[..., Own]) -> None:
    reading = prompt.read(own(), PromptRequest(ids=IDS, rows=1), Silent())
    with pytest.raises(
        Refused, match=r"needs 2 sampled query rows from row 8 on; the sample has [01]\."
    ):
        score_concentration(reading, None, own().card)


def test_layers_are_shown_while_the_run_goes_on(own: Callable[..., Own]) -> None:
    subject, progress = own(n_layers=3), Watching()
    reading = prompt.read(subject, PromptRequest(ids=IDS), progress)
    assert [done for done, _ in progress.shown] == [0, 1, 2]  # before the layer counts as over
    for i, (_, partial) in enumerate(progress.shown):
        assert partial.layers == i + 1
        np.testing.assert_array_equal(partial.thumbs, reading.thumbs[: i + 1])
        expected = reading.rows.first[0, : i + 1, ..., 0].mean(-1)
        np.testing.assert_allclose(partial.sink, expected, rtol=1e-5)


def test_rows_are_a_sample_where_all_of_them_would_not_fit(
    own: Callable[..., Own], monkeypatch: pytest.MonkeyPatch
) -> None:
    """13 float32 numbers of each of 8 heads: 10 rows are 4,160 bytes."""
    subject = own()
    monkeypatch.setattr(rows_module, "MOST_BYTES", 4160 + 400)
    reading = prompt.read(subject, PromptRequest(ids=IDS), Silent())
    assert len(reading.rows.at) == 10 and reading.received is None
    held = [x for name, x in vars(reading.rows).items() if name not in {"at", "length"}]
    assert sum(x.nbytes for x in held) == 4160
    fewer = prompt.read(subject, PromptRequest(ids=IDS, rows=4), Silent())
    assert len(fewer.rows.at) == 4


def test_controls_of_a_long_prompt_read_a_sample(
    own: Callable[..., Own], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = own()
    monkeypatch.setattr(prompt, "CONTROL_ROWS", 11)
    controls = prompt.controls(subject, PromptRequest(ids=IDS), Silent())
    for rows, sequences in ((controls.twin, 1), (controls.shuffled, 3), (controls.same_token, 1)):
        assert rows.mass.shape == (sequences, 2, 4, 11) and len(rows.at) == 11
        assert rows.length == len(IDS)
    assert CONTROL_ROWS >= 1024
    reading = prompt.read(subject, PromptRequest(ids=IDS), Silent())
    sinks = score_sinks(reading, controls, subject.card).scores[0]
    assert [int(c.n.max()) for c in sinks.controls] == [11, 33, 11]


def test_thumbnails_are_the_strongest_entry_of_each_block(own: Callable[..., Own]) -> None:
    subject = own("delta", n_ctx=64)
    ids = IDS + IDS[:20]
    reading = prompt.read(subject, PromptRequest(ids=ids), Silent())
    found = capture(subject, torch.tensor([ids]), [pattern_name(0)]).activations
    a = found[pattern_name(0)][0].numpy()
    side = 2  # 63 tokens in at most 32 blocks
    assert reading.thumbs.shape == (2, 4, 32, 32)
    for i, j in ((0, 0), (31, 3), (20, 20), (31, 31), (3, 9)):
        block = a[:, side * i : side * i + side, side * j : side * j + side].reshape(4, -1)
        expected = block[np.arange(4), np.abs(block).argmax(1)]
        np.testing.assert_allclose(reading.thumbs[0, :, i, j], expected, rtol=1e-4, atol=1e-6)
