"""The Dashboards page: adding, editing, two who save at once, old versions."""

import pytest

from app.export.parts import ALL, FIGURES
from app.panels import keep
from app.store_room import store
from interp.store import LOCAL, Markdown, Panel, StoreError
from interp.store.dashboards import Dashboards
from tests.app.boards import SINKS, WORDS, asked, html, made, panel, press, words
from tests.app.export.results import every_kind

pytestmark = pytest.mark.xdist_group("dashboards")  # they count what is in the one store


def test_a_figure_is_added_with_its_numbers_and_its_view(visit):
    page = visit("explore")  # a saved starter: nothing is computed
    press(page, "keep-sinks-sink")
    assert "sinks on smollm2" in words(page)
    page.selectbox(key="keep_to").select(keep.NEW).run()
    page.text_input(key="keep_new").set_value("Added <b>here</b>")
    press(page, "keep_add")
    kept = page.session_state["keep_last"]
    assert f"(dashboards?id={kept})" in words(page) and "version 1" in words(page)
    first = store().dashboards.open(LOCAL, kept)
    assert first.title == "Added <b>here</b>"
    assert [(p.kind, p.page, p.title) for p in first.blocks] == [
        ("sink", "explore", "Sink share, token 0")
    ]  # fmt: skip
    data = store().dashboards.result(LOCAL, kept, 1, first.blocks[0].results[0])
    assert data == SINKS.to_json().encode()
    press(page, "keep-sinks")
    assert page.selectbox(key="keep_to").value == kept  # the last one again
    press(page, "keep_add")
    second = store().dashboards.open(LOCAL, kept)
    assert second.number == 2 and [p.kind for p in second.blocks] == ["sink", ALL]
    assert second.blocks[0] == first.blocks[0]


def test_a_save_of_somebody_else_in_between_does_no_harm_to_an_addition(visit, monkeypatch):
    visit()
    board, once = made(WORDS), []
    opened = Dashboards.open

    def slow(self, who, dashboard_id, number=None):
        found = opened(self, who, dashboard_id, number)
        if not once:
            once.append(self.save(who, dashboard_id, 1, "Theirs", [WORDS, Markdown("theirs")]))
        return found

    before = len(store().dashboards.drafts(LOCAL))
    with monkeypatch.context() as patch:
        patch.setattr(Dashboards, "open", slow)
        offer = keep.Offer((SINKS,), FIGURES, "sinks", {}, "Mine")
        version = keep.added(offer, board.dashboard_id, "")
    assert version.number == 3 and version.title == "Theirs"
    assert [getattr(b, "text", b.kind if isinstance(b, Panel) else "") for b in version.blocks] == [
        WORDS.text, "theirs", FIGURES,
    ]  # fmt: skip
    assert len(store().dashboards.drafts(LOCAL)) == before


def test_a_result_over_the_limit_is_refused_in_a_sentence(visit, monkeypatch):
    visit()
    monkeypatch.setattr(keep, "MOST", 1000)
    with pytest.raises(StoreError, match="a dashboard keeps 1,000 of each"):
        keep.added(keep.Offer((SINKS,), ALL, "sinks", {}, "x"), keep.NEW, "x")


def test_frozen_numbers_are_drawn_with_n_interval_and_null(visit):
    board = made(WORDS, panel(), panel(every_kind(), ALL, title="Every kind"))
    page = visit(id=board.dashboard_id)
    shown, score = words(page), SINKS.scores[0]
    layer, head = score.ranking()[0]
    assert f"L{layer}H{head} has the highest sink share" in shown
    assert f"n = {score.n[layer, head]}" in shown and "random-init twin" in shown
    assert f"digest {SINKS.digest}" in shown and "Kept on" in shown
    assert "<h1>Heads</h1>" in html(page) and "<em>rest</em>" in html(page)
    assert "The answer is 0.5." in shown and len(page.get("vega_lite_chart")) >= 3
    assert [link.proto.url for link in page.get("link_button")] == ["./sinks?metric=sink"] * 2
    assert not [b for b in page.button if (b.key or "").startswith("keep-")]


def test_old_versions_open_read_only_and_are_restored_or_forked(visit):
    board = made(WORDS, title="First")
    store().dashboards.save(LOCAL, board.dashboard_id, 1, "Second", [Markdown("later")])
    page = visit(id=board.dashboard_id, version="1")
    assert "## First" in words(page) and "Version 1 of 2" in words(page)
    assert not [b for b in page.button if b.key == "dashboard_edit"]
    press(page, "restore_secondary_1")
    assert asked(page, "version") == "" and "Version 3 of 3 (version 1 again)" in words(page)
    assert "## First" in words(page)
    page = visit(id=board.dashboard_id, version="2")
    press(page, "fork_secondary_2")
    fork = asked(page, "id")
    assert fork != board.dashboard_id and "fork of version 2" in words(page)
    assert store().dashboards.open(LOCAL, fork).title == "Second"
    assert visit(id=board.dashboard_id, version="9").error


def test_edits_survive_a_refresh_and_save_as_a_version(visit):
    board = made(WORDS, panel(), title="Old")
    page = press(visit(id=board.dashboard_id), "dashboard_edit")
    assert page.button(key="edit_save").disabled  # nothing to save yet
    page.text_area(key="edit_text_1").set_value("other words").run()
    page.text_input(key="edit_title").set_value("New").run()
    press(page, "block_down_1")
    press(page, "block_remove_1")
    press(page, "edit_undo")
    again = visit(id=board.dashboard_id, edit=asked(page, "edit"))  # as a refresh does
    assert again.text_area(key="edit_text_1").value == "other words"
    assert "unsaved edits of" in words(visit(id=board.dashboard_id))
    press(again, "edit_save")
    found = store().dashboards.open(LOCAL, board.dashboard_id)
    assert (found.number, found.title) == (2, "New")
    assert found.blocks == (board.blocks[1], Markdown("other words"))
    assert "Saved New as version 2" in words(again) and asked(again, "edit") == ""
    assert "not here any more" in words(visit(id=board.dashboard_id, edit=asked(page, "edit")))


def test_a_new_dashboard_is_made_when_it_is_saved(visit):
    count = len(store().dashboards.list(LOCAL))
    page = press(visit(), "dashboard_new")
    page.text_area(key="edit_text_1").set_value("hello").run()
    assert len(store().dashboards.list(LOCAL)) == count
    page.text_input(key="edit_title").set_value("   ").run()
    press(page, "edit_save")
    assert "empty; type one" in words(page) and asked(page, "edit")
    page.text_input(key="edit_title").set_value("Mine").run()
    press(page, "edit_save")
    assert store().dashboards.open(LOCAL, asked(page, "id")).blocks == (Markdown("hello"),)
    assert len(store().dashboards.list(LOCAL)) == count + 1


@pytest.fixture
def clash(visit):
    """(theirs saved as version 2, the page of the one who saved after them)."""
    board = made(WORDS, title="Clash")
    pages = [press(visit(id=board.dashboard_id), "dashboard_edit") for _ in range(2)]
    for page, text in zip(pages, ("theirs <i>", "mine"), strict=True):
        page.text_area(key="edit_text_1").set_value(text).run()
    press(pages[0], "edit_save")
    assert "saved version 2" in words(pages[1].run())  # said before Save is pressed
    return board.dashboard_id, press(pages[1], "edit_save")


def test_two_who_save_see_both_versions_and_the_last_can_win(clash):
    board, page = clash
    shown = words(page)
    assert "Theirs: Clash" in shown and "Yours: Clash" in shown and "Since version 1" in shown
    assert "“theirs <i>”" in shown and "“mine”" in shown
    draft = asked(page, "mine")
    press(page, "conflict_mine")
    assert store().dashboards.open(LOCAL, board, 3).blocks == (Markdown("mine"),)
    assert store().dashboards.open(LOCAL, board, 2).blocks == (Markdown("theirs <i>"),)
    assert draft not in [one.id for one in store().dashboards.drafts(LOCAL)]


def test_two_who_save_can_take_theirs_and_yours_stays(clash, visit):
    board, page = clash
    draft = asked(page, "mine")
    press(page, "conflict_theirs")
    assert asked(page, "id") == board and asked(page, "mine") == ""
    assert store().dashboards.open(LOCAL, board).number == 2
    press(visit(), f"keep_draft_{draft}")
    assert store().dashboards.open(LOCAL, draft).blocks == (Markdown("mine"),)
    assert not store().dashboards.get(LOCAL, draft).draft


def test_two_who_save_can_keep_both(clash):
    board, page = clash
    press(page, "conflict_fork")
    assert asked(page, "id") not in ("", board)
    assert "## Clash" in words(page) and not store().dashboards.get(LOCAL, asked(page, "id")).draft


def test_a_dashboard_is_published_deleted_and_brought_back(visit):
    board = made(WORDS, title="Comes and goes").dashboard_id
    page = visit(id=board)
    page.radio(key="dashboard_who").set_value("team").run()
    assert store().dashboards.get(LOCAL, board).visibility == "team"
    press(page, "dashboard_delete")
    assert asked(page, "id") == "" and "Deleted Comes and goes" in words(page)
    assert board not in [one.id for one in store().dashboards.list(LOCAL)]
    press(page, f"undelete_{board}")
    assert "## Comes and goes" in words(page)
    assert board in [one.id for one in store().dashboards.list(LOCAL)]
