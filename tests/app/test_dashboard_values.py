"""Values of the Dashboards page: links, drafts, what differs, what is kept; no page is drawn."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app import dashboard_choice
from app.dashboard_choice import Choice
from app.panels import keep
from app.panels.dashboard_changes import changes
from app.panels.dashboard_drafts import MOST, Draft, Drafts, begin
from interp.score_grid import score_grid
from interp.store import Markdown, Panel, Version
from tests.app.boards import SINKS
from tests.app.export.results import every_kind

FULL = Choice(id="0" * 32, version=3, edit="1" * 32, mine="a" * 32)


@pytest.mark.parametrize("choice", [Choice(), FULL])
def test_a_link_restores_the_choice(choice):
    assert Choice.from_query(choice.to_query()) == choice
    assert choice is FULL or choice.to_query() == {}


def test_the_live_view_is_an_address_of_ours_whatever_a_file_says():
    evil = {"model": "a&b=c#d", "x y": "//e.example"}
    assert dashboard_choice.live(Panel("all", "sinks", {"metric": "sink"})) == "./sinks?metric=sink"
    assert dashboard_choice.live(Panel("all", "explore", {})) == "./"
    found = dashboard_choice.live(Panel("all", "explore", evil))
    assert found == "./?model=a%26b%3Dc%23d&x+y=%2F%2Fe.example"
    for page in ("https://e.example", "//e.example", "../s/x", "javascript:alert(1)", "dashboards"):
        assert dashboard_choice.live(Panel("all", page, {})) == ""


def test_a_draft_moves_words_removes_and_goes_back():
    one, two, three = (Markdown(text) for text in "abc")
    draft = begin(Version("0" * 32, 4, 3, "T", "x", "", (one, two, three), datetime.now(UTC)))
    up = draft.moved(3, -1)
    assert up.saved() == (one, three, two) and up.base == 4
    assert up.moved(1, -1) is up and up.moved(2, 1) is up  # at the ends they stay
    text = up.removed(1).written(0).worded(4, "new")
    assert text.saved() == (Markdown("new"), three, two)
    assert text.undone().saved() == (three, two)  # an empty text is not saved
    assert text.undone().undone().undone().undone().saved() == draft.saved()
    with pytest.raises(KeyError):
        text.moved(1, 1)


def test_drafts_belong_to_one_account_and_are_bounded():
    drafts = Drafts()
    names = [drafts.begin("a", Draft("", None, str(at))) for at in range(MOST + 1)]
    assert drafts.get("a", names[0]) is None and drafts.get("a", names[-1]).title == str(MOST)
    assert drafts.get("b", names[-1]) is None and drafts.of("a", "") == []  # nothing was changed
    drafts.put("a", names[-1], drafts.get("a", names[-1]).step("other"))
    assert [name for name, _ in drafts.of("a", "")] == [names[-1]]
    assert len(set(names)) == len(names) and all(len(name) == 32 for name in names)


def test_what_differs_is_said_in_words():
    a, b, c = Markdown("alpha beta gamma"), Panel("all", "sinks", title="P"), Markdown("zzz")
    assert changes("T", (a, b), "T", (a, b)) == []
    said = changes("T", (a, b, c), "U", (b, Markdown("alpha beta delta"), Markdown("12345")))
    assert said == [
        "Title: “T” is now “U”.",
        "Text: “alpha beta gamma” is now “alpha beta delta”.",
        "Removed the text “zzz”.",
        "Added the text “12345”.",
    ]
    assert changes("T", (a, b, c), "T", (b, c, a)) == ["Moved the text “alpha beta gamma”."]
    assert changes("T", (b,), "T", (replace(b, title="Q"),)) == [
        "Panel “P” is now called “Q”."
    ]  # fmt: skip
    assert changes("T", (a, a), "T", (a,)) == ["Removed the text “alpha beta gamma”."]


def test_a_map_of_a_score_is_kept_as_the_score():
    score = SINKS.scores[0]
    assert keep.part_of(SINKS, score) == (SINKS, score.key)
    assert keep.part_of(SINKS, score_grid(score)) == (SINKS, score.key)
    other = every_kind()
    whole, key = keep.part_of(SINKS, other.curves[0])
    assert whole.curves[-1] is other.curves[0] and key == other.curves[0].key
