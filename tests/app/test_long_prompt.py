"""Long prompts in process: offer, sample, refinement, overview and window, and what is sent."""

import numpy as np
import pytest
import torch

from app.components.head_view import _runs, head_view
from app.encoding import AT_ONCE, encode_work
from app.engine_room import engine
from app.panels.long_head import fits, zoom_of
from app.panels.reading import all_layers, order_so_far
from app.state import Selection
from interp import prompts
from interp.capture import capture
from interp.engine.works import WHOLE, reading_work
from interp.measurements.prompt import PromptRequest
from interp.registry import PROMPT
from interp.subject import pattern_name
from tests.app.conftest import settle, texts
from tests.app.test_explore import components

TEXT = "".join(f"The keeper lit lamp {i} and the boats came home. " for i in range(99))
MODEL = "untrained-softmax"  # one token a byte


def open_long(open_page, tokens: int, **query: str):
    """The page of a prompt of that many tokens, given by its digest."""
    return open_page(model=MODEL, prompt=prompts.keep(TEXT[:tokens]), **query)


def sent(page) -> list[int]:
    """Bytes that each component on the page got."""
    return [len(part.proto.bytes) for part in page.get("bidi_component")]


def test_past_whole_tokens_the_page_sends_an_overview_and_a_window(open_page):
    tokens = WHOLE + 60
    page = settle(open_long(open_page, tokens, head="1.2", zoom="1000.1100.900.1028"))
    assert not page.exception and not page.error
    grid, overview, view = components(page)
    assert (overview["tokens"], overview["side"]) == (tokens, -(-tokens // 512))
    assert (view["query"], view["key"], view["rows"], view["columns"]) == (1000, 900, 100, 128)
    assert view["part"] and view["causal"]
    [(first, labels)] = view["runs"]
    assert (first, "".join(labels)) == (900, TEXT[900:1100].replace(" ", "·"))
    assert max(sent(page)) < 600_000


def test_a_windows_weights_are_those_of_the_matrix(open_page):
    tokens = WHOLE + 60
    page = settle(open_long(open_page, tokens, head="1.2", zoom="2000.2050.10.40"))
    view = components(page)[-1]
    raw = bytes(page.get("bidi_component")[-1].proto.bytes)
    codes = np.frombuffer(raw[4 + int.from_bytes(raw[:4], "little") :], "<u2").reshape(50, 30)
    weights = view["low"] + (view["high"] - view["low"]) * codes / 65535
    subject, name = engine().shelf.peek(MODEL), pattern_name(1)
    ids = torch.tensor([subject.encode(TEXT[:tokens]).ids])
    truth = capture(subject, ids, [name]).activations[name][0, 2, 2000:2050, 10:40]
    assert np.abs(weights - truth.numpy()).max() < 1e-5


def test_a_prompt_over_the_time_budget_is_offered_as_a_sample(open_page, monkeypatch):
    monkeypatch.setenv("HEADLAMP_TIME_BUDGET", "0.001")
    page = settle(open_long(open_page, 1100))
    assert "#### 1,100 tokens take" in texts(page) and not components(page)
    page.button(key="quick_look").click().run()
    assert page.query_params["rows"] == "512"
    page = settle(page)
    assert not page.exception
    assert "all 1,100 query rows, with nulls; they took the place of the sample" in texts(page)
    assert page.table[0].value["n"].iloc[0] == "1100"


def test_all_rows_are_read_at_once_where_that_was_chosen(open_page, monkeypatch):
    monkeypatch.setenv("HEADLAMP_TIME_BUDGET", "0.001")
    page = settle(open_long(open_page, 1101))
    page.button(key="all_rows").click().run()
    assert page.query_params["rows"] == "all"
    assert "Complete: all 1,101 query rows" in texts(settle(page))


def test_a_sample_that_was_not_refined_is_labelled_and_can_be_completed(open_page):
    tokens = 1103
    page = open_long(open_page, tokens, rows="100")
    card = engine().shelf.peek(MODEL).card
    ids = engine().shelf.peek(MODEL).encode(TEXT[:tokens]).ids
    whole = reading_work(card, PROMPT, PromptRequest(ids=ids)).key
    page.session_state["problems"] = {whole: "Cancelled. Press Run to start again."}
    words = texts(settle(page.run()))
    assert "(100 of 1,103 query rows, sampled)" in words
    assert "Read: 100 of 1,103 query rows, sampled. The others did not follow: Cancelled" in words
    row = page.table[0].value.iloc[0]
    assert row["n"] == "100" and "[" in row["value [95 %]"]
    page.button(key="all_rows").click().run()
    assert "they took the place of the sample" in texts(settle(page))


def test_more_rows_than_tokens_is_no_sample(open_page):
    page = settle(open_page(model=MODEL, text="a short prompt", rows="512"))
    assert "sampled" not in texts(page) and not page.exception


def test_a_very_long_text_is_counted_in_the_engine(open_page):
    name = prompts.keep("a" * (AT_ONCE + 1))
    page = settle(open_page(model=MODEL, prompt=name))
    assert f"{AT_ONCE + 1:,} tokens; the limit is 8,192" in texts(page)
    subject = engine().shelf.peek(MODEL)
    assert engine().cache.get(encode_work(subject, "a" * (AT_ONCE + 1), False).key) is not None


def test_a_window_lies_where_the_link_says_or_around_the_pin_or_at_the_end():
    here = dict(starter="", text="x")
    assert zoom_of(Selection(**here, zoom=(5, 9, 0, 4)), 5000) == (5, 9, 0, 4)
    assert zoom_of(Selection(**here), 5000) == (4744, 5000, 4744, 5000)
    assert zoom_of(Selection(**here, pin=1000), 5000) == (872, 1128, 872, 1128)
    assert zoom_of(Selection(**here, pin=3), 5000) == (0, 256, 0, 256)
    assert zoom_of(Selection(**here, pin=9000), 5000) == (4744, 5000, 4744, 5000)
    outside = Selection(**here, zoom=(4000, 5001, 0, 100))
    assert zoom_of(outside, 5000) == (4744, 5000, 4744, 5000)
    assert fits((0, 512, 0, 512), 5000) and not fits((0, 513, 0, 512), 5000)


def test_tokens_of_a_window_are_sent_once_and_in_order():
    tokens = [str(t) for t in range(30)]
    assert _runs(tokens, (0, 30), (0, 30)) == [(0, tokens)]
    assert _runs(tokens, (20, 25), (3, 6)) == [(3, tokens[3:6]), (20, tokens[20:25])]
    assert _runs(tokens, (5, 9), (7, 12)) == [(5, tokens[5:12])]
    assert _runs(tokens, (5, 9), (9, 12)) == [(5, tokens[5:12])]


def test_heads_not_read_yet_come_last_in_their_own_order():
    values = all_layers(np.array([[0.1, 0.9], [0.9, 0.5]]), 3)
    assert order_so_far(values) == [(0, 1), (1, 0), (1, 1), (0, 0), (2, 0), (2, 1)]


def test_a_head_view_refuses_a_window_outside_the_prompt():
    def show(at, rows):
        head_view(
            key="k",
            label="L0H0",
            pattern=np.zeros((rows, 4)),
            tokens=["a"] * 10,
            color_max=1.0,
            signed=False,
            causal=True,
            sink_slot=None,
            stride=1,
            pinned=None,
            on_pin=lambda: None,
            at=at,
        )

    with pytest.raises(ValueError, match=r"pattern \(4, 4\) at \(7, 0\) does not fit 10 tokens"):
        show((7, 0), 4)
    with pytest.raises(ValueError, match="does not fit"):
        show(None, 4)
