"""What a run is said to take: it grows with the work, is learned, and leads to a sample."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from interp.adapters.own import Own
from interp.engine import works
from interp.engine.cost import run_bytes
from interp.engine.engine import Engine
from interp.engine.forecast import DEFAULT_PATIENCE, SAMPLE, forecast, patience, sampled_rows
from interp.measurements.prompt import PromptRequest
from interp.registry import PROMPT

SMOLLM2 = dict(
    n_layers=30, n_heads=9, n_kv_heads=3, d_model=576, d_head=64, n_ctx=8192, vocab_size=49152,
    n_parameters=134_515_008,
)  # fmt: skip


def test_a_forecast_grows_with_tokens_and_rows(hand: SimpleNamespace) -> None:
    card = hand.card(weights_sha256="a" * 64, **SMOLLM2)
    made = [forecast(card, t) for t in (1, 64, 512, 4096, 8192)]
    assert all(0 < a.seconds < b.seconds for a, b in zip(made, made[1:], strict=False))
    assert [f.bytes for f in made] == [run_bytes(card, f.tokens) for f in made]
    assert all(f.rows == f.tokens and f.controls_seconds > f.seconds for f in made)
    some = forecast(card, 8192, rows=512)
    assert some.rows == 512 and some.seconds < made[-1].seconds
    assert forecast(card, 100, rows=512).rows == 100


def test_a_reading_teaches_the_next_forecast(own: Callable[..., Own]) -> None:
    """After a reading the forecast for the same prompt is the time that it took."""
    model, ids = own(n_ctx=700, seed=77), (5,) * 600
    before = forecast(model.card, 600).seconds
    engine = Engine(lambda name, say: model)
    engine.shelf.get("tiny")
    start = time.perf_counter()
    ticket = engine.submit(
        works.reading_work(model.card, PROMPT, PromptRequest(ids=ids)), "me", "a"
    )
    assert ticket.wait(60.0) and ticket.state == "done"
    took = time.perf_counter() - start
    after = forecast(model.card, 600).seconds
    assert after != before and 0.3 * took < after <= took


def test_a_sample_is_offered_where_all_rows_would_take_too_long(
    hand: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = hand.card(weights_sha256="b" * 64, **SMOLLM2)
    monkeypatch.setenv("HEADLAMP_TIME_BUDGET", "1e-9")
    assert sampled_rows(card, 8192) == SAMPLE == 512
    assert sampled_rows(card, 1024) is None  # half of the rows would be read anyway
    monkeypatch.setenv("HEADLAMP_TIME_BUDGET", "1e9")
    assert sampled_rows(card, 8192) is None


def test_patience_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADLAMP_TIME_BUDGET", raising=False)
    assert patience() == DEFAULT_PATIENCE
    monkeypatch.setenv("HEADLAMP_TIME_BUDGET", "2.5")
    assert patience() == 2.5
    for text in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv("HEADLAMP_TIME_BUDGET", text)
        with pytest.raises(ValueError, match=f"is {text!r}; give a number of seconds above 0"):
            patience()
