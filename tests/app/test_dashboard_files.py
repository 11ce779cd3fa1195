"""Files that are dropped on the Dashboards page, hostile words, damage, a store to read only."""

import json
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.export.dashboard import pack
from app.export.parts import ALL, FIGURES
from app.export.report import report
from app.panels import dashboard_files
from app.store_room import store
from interp import rope
from interp.progress import Silent
from interp.result import Result
from interp.rope import CurveRequest
from interp.store import LOCAL, Markdown, Panel, Store
from tests.app.boards import SINKS, WORDS, asked, html, made, panel, press, sound, words
from tests.app.conftest import settle
from tests.app.export.results import HOSTILE, every_kind

pytestmark = pytest.mark.xdist_group("dashboards")  # they count what is in the one store

BLNS = Path(__file__).parents[3] / "shared" / "data" / "blns" / "blns.json"  # not part of Headlamp


def drop(page: AppTest, name: str, data: bytes) -> AppTest:
    """Hand the page a file."""
    return sound(page.get("file_uploader")[0].upload(name, data, "text/plain").run())


@pytest.mark.parametrize("write", [pack, report])
def test_a_file_is_shown_and_kept_when_asked(visit, write):
    result, name = every_kind(HOSTILE[:2]), "b" * 64
    if write is report:  # without pictures, which take seconds
        result = replace(result, scores=(), curves=(), heats=())
    blocks = (
        Markdown(HOSTILE[0]),
        Panel(ALL, "//e.example", {}, title=HOSTILE[1], results=(name,)),
    )
    page = drop(visit(), "../../x.html", write(HOSTILE[0], blocks, {name: result}))
    count = len(store().dashboards.list(LOCAL))
    assert "1 results. Every result is what its digests say" in words(page)
    assert not page.get("link_button") and "<img" not in html(page) and "<script" not in html(page)
    press(page, "file_check")
    assert "Not checked. Nothing here makes Results of" in words(page)
    press(page, "file_keep")
    assert len(store().dashboards.list(LOCAL)) == count + 1
    kept = store().dashboards.open(LOCAL, asked(page, "id"))
    found = store().dashboards.result(LOCAL, kept.dashboard_id, 1, kept.blocks[1].results[0])
    assert Result.from_json(found.decode()).to_json() == result.to_json()
    assert kept.title == HOSTILE[0] and kept.blocks[0] == blocks[0]
    assert replace(kept.blocks[1], results=()) == replace(blocks[1], results=())


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.json", b"{}", "not of format"),
        ("x.html", b"<!doctype html><p>hello", "holds no data"),
        ("x.zip", b"PK\x03\x04\xff\xfe\x00", "is not UTF-8"),
        ("x.json", b"[" * 100_000, "no dashboard of Headlamp"),
        ("\u202egnp.exe", b"", "no dashboard of Headlamp"),
    ],
)
def test_nonsense_files_get_a_sentence_and_nothing_is_stored(visit, name, data, reason):
    count = len(store().dashboards.list(LOCAL))
    page = drop(visit(), name, data)
    assert [reason in error.value for error in page.error] == [True]
    assert len(store().dashboards.list(LOCAL)) == count and "file_keep" not in page.session_state


def test_numbers_that_were_changed_in_a_file_are_refused(visit):
    name = "c" * 64
    told = json.loads(pack("T", (Panel(ALL, "sinks", {}, results=(name,)),), {name: SINKS}))
    told["results"][name]["result"]["scores"][0]["value"][0][0] += 0.25
    page = drop(visit(), "x.json", json.dumps(told).encode())
    assert len(page.error) == 1 and "changed since" in page.error[0].value


def test_a_file_over_the_limit_is_not_read(visit, monkeypatch):
    monkeypatch.setattr(dashboard_files, "MOST", 2**20)
    page = drop(visit(), "x.json", b" " * (2**20 + 1))
    assert len(page.error) == 1 and "has 1,048,577 bytes" in page.error[0].value


def test_a_file_says_whether_its_numbers_still_hold(visit):
    found = rope.curve_work(CurveRequest(base=500.0)).run(None, Silent()).result
    figure = replace(found.figures[0], value=found.figures[0].value + 1)
    changed = replace(found, figures=(figure, *found.figures[1:]))
    results = {"a" * 64: found, "b" * 64: changed}
    blocks = [Panel(ALL, "rope", {}, results=(name,)) for name in results]
    page = press(drop(visit(), "x.json", pack("T", blocks, results)), "file_check")
    settle(page)
    assert "Of 2 results 1 match what this machine computes, 1 differ, 0 could" in words(page)
    assert [box.value.split(".")[0] for box in page.success] == ["Matches"]
    assert "Model and request are what they were" in words(page)


def test_no_chart_of_a_kept_result_gets_a_backslash_in_a_title(visit):
    board = made(panel(every_kind((HOSTILE[-1], HOSTILE[9])), ALL))
    page = visit(id=board.dashboard_id)
    specs = [json.loads(chart.proto.spec) for chart in page.get("vega_lite_chart")]
    assert len(specs) >= 3
    assert "\\" not in "".join(texts_of(specs, "title")) and "\u202e" not in str(specs)


def texts_of(value: object, name: str) -> list[str]:
    """Every text under a name, at any depth."""
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item, name)]
    if not isinstance(value, dict):
        return []
    own = [item for key, item in value.items() if key == name and isinstance(item, str)]
    return own + [text for item in value.values() for text in texts_of(item, name)]


def hostile_words() -> list[str]:
    """Titles and texts that should do nothing."""
    found = list(HOSTILE)
    if BLNS.is_file():
        found += [text for text in json.loads(BLNS.read_text()) if text.strip()][::25]
    return found


def test_hostile_titles_and_texts_are_words(visit):
    texts = [Markdown(text) for text in hostile_words()]
    panels = [panel(title=text, kind=FIGURES) for text in HOSTILE[:3]]
    board = made(*texts[:20], *panels, title=HOSTILE[1])
    page = visit(id=board.dashboard_id)
    assert "<script" not in html(page) and "<img" not in html(page)
    assert "javascript:" not in str([link.proto.url for link in page.get("link_button")])
    assert HOSTILE[1] in words(page) and "\u202e" not in words(page) + html(page)
    listed = visit()
    assert HOSTILE[1] in words(listed) + str([link.proto for link in listed.get("page_link")])
    sound(press(page, "dashboard_edit"))


@pytest.mark.parametrize(
    "query",
    [
        {"id": "../x", "version": "-1", "edit": "<b>", "mine": "1"},
        {"id": "0" * 32},
        {"id": "0" * 32, "mine": "1" * 32},
        {"edit": secrets.token_hex(16)},
    ],
)
def test_nonsense_in_the_link_never_raises(visit, query):
    page = visit(**query)
    assert bool(page.error) == (query.get("id") == "0" * 32)


def test_a_damaged_result_leaves_the_others(visit):
    found = every_kind(("damaged", "it"))
    board = made(panel(found, ALL), panel())
    store().artifacts.path(board.blocks[0].results[0]).write_bytes(b"broken")
    page = visit(id=board.dashboard_id)
    assert "is damaged on the disk" in words(page) and "has the highest sink share" in words(page)
    assert all(b.proto.disabled for b in page.get("download_button")[:2])


def test_a_store_that_is_read_only_says_why_buttons_are_off(visit, monkeypatch):
    board = made(WORDS)
    monkeypatch.setattr(Store, "read_only", True)
    page = visit(id=board.dashboard_id)
    for key in ("dashboard_edit", "dashboard_delete", "fork_secondary_1"):
        assert page.button(key=key).disabled and "write-protected" in page.button(key=key).help
    assert visit().button(key="dashboard_new").disabled
