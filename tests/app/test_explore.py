"""The Explore page in process: every kind of model, every kind of wrong input, no exception."""

import json
import re

import numpy as np
import pytest

from app.engine_room import CANCELLED, engine
from app.starters import STARTERS, saved
from interp.engine.works import scores_work
from interp.measurements.prompt import PromptRequest
from interp.prompts import MAX_BYTES
from interp.registry import PROBES
from models.registry import VARIANTS
from tests.app.conftest import idle, settle, texts
from tests.conftest import one_per_matrix

TEXT = "one two three one two three and four"


def components(page) -> list[dict]:
    """Headers of the components on the page."""
    found = []
    for part in page.get("bidi_component"):
        raw = bytes(part.proto.bytes)
        size = int.from_bytes(raw[:4], "little")
        found.append(json.loads(raw[4 : 4 + size]))
    return found


@pytest.mark.parametrize("variant", one_per_matrix())
def test_every_kind_of_variant_fills_the_whole_page(open_page, variant):
    page = settle(open_page(model=f"untrained-{variant}", text=TEXT))
    assert not page.exception and not page.error
    grid, view = components(page)
    traits = VARIANTS[variant].traits
    group_size = 2 if traits.grouped else 1
    assert (grid["n_layers"], grid["n_heads"], grid["group_size"]) == (2, 8, group_size)
    assert view["runs"] == [[0, list(TEXT.replace(" ", "·"))]]
    metrics = page.selectbox(key="metric").options
    assert len(metrics) == len(set(metrics)), "a label that two metrics share opens the wrong one"
    table = page.table[0].value
    assert set(table["kind"]) <= {"measured", "derived", "proxy", "estimator"}
    assert not table["verdict"].eq("null on its way").any()
    assert (view["sink"] is not None) == traits.sink_slot
    shares = traits.nonnegative and (traits.row_stochastic or traits.sink_slot)
    assert view["signed"] != shares


def test_numbers_on_the_page_are_those_of_the_results(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT, head="1.3"))
    from app.engine_room import engine
    from interp.engine.works import scores_work
    from interp.measurements.prompt import PromptRequest

    card = engine().shelf.peek("untrained-softmax").card
    work = scores_work(card, "sinks", PromptRequest(ids=tuple(TEXT.encode())), True)
    score = engine().cache.get(work.key).score("sink")
    row = page.table[0].value.loc["Sink share, token 0 (share of attention)"]
    assert row["value [95 %]"].startswith(f"{score.value[1, 3]:#.3g}")
    assert row["n"] == str(len(TEXT)) and row["uniform"] == f"{score.uniform:#.3g}"
    twin = next(c for c in score.controls if c.is_null)
    assert row[twin.name].startswith(f"{twin.value[1, 3]:#.3g}")


def test_first_visit_opens_a_starter_without_computing(open_page):
    page = open_page()
    assert not page.exception
    grid, view = components(page)
    stored = saved("sink")
    assert (grid["n_layers"], grid["n_heads"]) == (stored.card.n_layers, stored.card.n_heads)
    assert view["runs"] == [[0, list(stored.tokens.labels)]]
    assert "Saved results" in texts(page)
    assert STARTERS["sink"].text == page.text_area(key="draft_text").value


@pytest.mark.parametrize("name", STARTERS)
def test_saved_matrices_agree_with_saved_scores(name):
    stored = saved(name)
    sink = stored.results["sinks"].score("sink").value
    layers, heads = sink.shape
    again = [[stored.pattern(l, h)[:, 0].mean() for h in range(heads)] for l in range(layers)]
    assert np.abs(np.array(again) - sink).max() < 1e-4
    assert set(stored.results) == set(PROBES)
    assert all(score.controls for r in stored.results.values() for score in r.scores)


@pytest.mark.xdist_group("smollm2")
def test_saved_results_are_those_of_the_model_at_hand(model):
    for name, starter in STARTERS.items():
        stored = saved(name)
        assert stored.card.digest == model.card.digest, "run `make starters` and commit"
        assert stored.tokens.ids == model.encode(starter.text).ids


def test_a_head_the_model_does_not_have_falls_back_to_the_strongest(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT, head="99.99"))
    assert not page.exception
    grid, view = components(page)
    assert view["label"] == "L{}H{}".format(*grid["selected"])


@pytest.mark.parametrize(
    "query",
    [
        {"head": "x.y", "metric": "nonsense", "token": "-3", "ranked": "maybe"},
        {"model": "untrained-softmax", "starter": "no such starter", "text": ""},
        {"model": "untrained-softmax", "text": "a"},
        {"model": "untrained-softmax", "text": "\x00\x1b]0;x\x07 \u202e <script>alert(1)</script>"},
        {"model": "untrained-delta", "text": "short"},
        {"prompt": "../../etc/passwd"},
        {"prompt": "0" * 64},
        {"model": "../../etc"},
        {"model": "/etc"},
        {"model": "models"},
    ],
)
def test_nonsense_in_the_url_never_raises(open_page, query):
    page = settle(open_page(**query))
    assert not page.exception


def test_a_folder_is_never_read_because_a_url_names_it(open_page):
    page = settle(open_page(model="models", text=TEXT))
    assert "no model in the list and no hub name" in texts(page)


def test_empty_and_overlong_prompts_get_a_sentence(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT))
    page.text_area(key="draft_text").set_value("").run()
    page.button[0].click().run()
    assert "The prompt is empty" in texts(page)
    page.text_area(key="draft_text").set_value("a" * (MAX_BYTES + 1)).run()
    page.button[0].click().run()
    assert f"{MAX_BYTES:,} bytes" in texts(page)
    page.text_area(key="draft_text").set_value("a" * 9000).run()
    page.button[0].click().run()
    assert "9,000 tokens; the limit is 8,192" in texts(settle(page))
    assert not page.exception


def test_memory_budget_names_the_limit(open_page, monkeypatch):
    monkeypatch.setenv("HEADLAMP_MEMORY_BUDGET", "1")
    page = settle(open_page(model="untrained-softmax", text="a" * 400))
    assert "memory budget is 1 MiB" in texts(page)


def test_cost_is_said_before_run(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT))
    page.text_area(key="draft_text").set_value("abcdefghij").run()
    words = texts(page)
    assert re.search(
        r"10 tokens · about [\d.]+ [KM]iB · (under|about) \d+ s on this machine", words
    )
    assert "(nulls: " in words
    assert "2 layers × 8 heads in 4 key/value groups" in words


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", "Grüße aus dem Hafen".encode(), None),
        ("a.txt", b"\xff\xfeh\x00i\x00", None),
        ("a.txt", b"\xff\xff\xff", "is not UTF-8 text"),
        ("a.txt", b"", "The prompt is empty"),
        ("a.txt", b"x" * (MAX_BYTES + 1), "1,048,577 bytes"),
        ("a.md", b"PK\x03\x04\x80\x81", "is not UTF-8 text"),
    ],
)
def test_uploads_become_the_draft_or_a_sentence(open_page, name, data, expected):
    page = settle(open_page(model="untrained-softmax", text=TEXT))
    page.file_uploader[0].upload(name, data).run()
    assert not page.exception
    if expected:
        assert expected in texts(page)
        assert page.text_area(key="draft_text").value == TEXT
    else:
        text = data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8")
        assert page.text_area(key="draft_text").value == text


def test_ablation_reports_the_change_beside_the_other_heads(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT, head="0.1"))
    page.button(key="ablate_button").click().run()
    words = texts(settle(page))
    assert "Change in loss without L0H1" in words
    assert "strongest of the 7 other heads of layer 0" in words


def test_short_prompts_say_which_probe_refuses_and_why(open_page):
    page = settle(open_page(model="untrained-softmax", text="tiny"))
    page.segmented_control(key="probe").set_value("concentration").run()
    assert "Concentration needs 10 tokens or more" in texts(page)
    assert components(page), "the other probes still answer"


@pytest.mark.parametrize("name", ["![x](http://e.example/x.png)", "[click](http://e.example)"])
def test_a_model_name_in_a_link_never_becomes_markdown(open_page, name):
    page = settle(open_page(model=name))
    sentences = [part.value for part in page.error]
    assert any("\\]\\(" in sentence for sentence in sentences)
    assert not any("](" in sentence for sentence in sentences)


def test_a_second_rerun_in_quick_succession_does_not_empty_the_prompt(open_page):
    page = open_page(model="untrained-softmax", text=TEXT)
    assert page.text_area(key="draft_text").proto.set_value
    box = page.run().text_area(key="draft_text").proto
    assert (box.set_value, box.value) == (True, TEXT)  # the browser may have missed the first
    page.text_area(key="draft_text").set_value("a draft").run()
    assert page.text_area(key="draft_text").value == "a draft"


def test_a_dead_prompt_link_can_be_left(open_page):
    page = settle(open_page(prompt="0" * 64))
    assert "not stored on this server" in texts(page)
    page.text_area(key="draft_text").set_value(TEXT).run()
    page.selectbox(key="draft_model").set_value("untrained-softmax").run()
    page.button[0].click().run()
    assert not page.exception


def test_advice_of_a_starter_is_only_given_where_it_was_seen(open_page):
    page = settle(open_page(starter="sink", model="untrained-linear"))
    assert STARTERS["sink"].look not in texts(page)
    assert STARTERS["sink"].look in texts(open_page(starter="sink"))


def test_a_metric_that_is_not_there_is_said_so(open_page):
    page = settle(open_page(model="untrained-softmax", text=TEXT, metric="nonsense"))
    assert "There is no metric 'nonsense' here; showing Sink share" in texts(page)


def test_an_evicted_model_is_loaded_again(open_page, monkeypatch):
    from app.engine_room import engine

    monkeypatch.setattr(engine().shelf, "budget", 1)
    for name in ("softmax", "delta", "softmax"):
        page = settle(open_page(model=f"untrained-{name}", text=f"{TEXT} {name}"))
        assert not page.exception and components(page)


@pytest.mark.parametrize("with_controls", [False, True])
def test_after_a_cancel_nothing_else_is_started(open_page, with_controls):
    """The page asks for one probe after the other; Cancel is for all that would follow."""
    words = f"nobody asked for this before, with nulls: {with_controls}"
    page = open_page(model="untrained-delta")
    subject = engine().shelf.peek("untrained-delta")
    request = PromptRequest(ids=subject.encode(words).ids)
    first, *rest = (
        scores_work(subject.card, name, request, with_controls).key
        for name, probe in PROBES.items()
        if probe.measurement.needs_prompt
    )
    page.session_state["problems"] = {first: CANCELLED}
    page.query_params["text"] = words
    settle(page.run())
    idle(5)
    assert not page.exception and CANCELLED in texts(page)
    assert rest and not [key for key in rest if engine().cache.get(key)]
    page.session_state["problems"] = {}  # as Run does
    settle(page.run())
    assert all(engine().cache.get(key) for key in rest)
