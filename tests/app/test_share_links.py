"""Making share links on a page: numbers computed again first, cancelled, unchecked; withdrawn."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import share_address, store_room
from app.engine_room import engine
from app.panels import share_check, share_links
from app.panels.share_check import Making
from interp.engine.job import Work
from interp.engine.works import scores_work
from interp.measurements.prompt import PromptRequest
from interp.progress import Silent
from interp.recompute.anew import Anew
from interp.result import Result
from interp.store import LOCAL, Panel, ShareRefused, Store
from interp.store.shares import Share
from interp.subject import Refused
from tests.app.conftest import texts
from tests.app.export.results import every_kind


def script() -> None:
    """The panel for the one dashboard there is."""
    from app.panels.dashboard_room import problem
    from app.panels.share_links import share_panel
    from app.store_room import actor, store

    problem()
    (one,) = store().dashboards.list(actor())
    share_panel(one, store().dashboards.open(actor(), one.id))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own for the page and the test."""
    monkeypatch.setenv("HEADLAMP_HOME", str(tmp_path))
    store_room.store.cache_clear()
    yield store_room.store()
    store_room.store().close()
    store_room.store.cache_clear()


@pytest.fixture(scope="module")
def sinks() -> Result:
    """Scores of a small model."""
    made = Anew(engine().shelf)
    subject = made.subject("zoo-mha", Silent())
    request = PromptRequest(ids=subject.encode("The cat sat. The cat saw.").ids)
    return made.compute(scores_work(subject.card, "sinks", request, False), Silent())


def save(store: Store, *results: Result) -> str:
    """A dashboard of these Results; its id."""
    names = tuple(store.artifacts.put(LOCAL, one.to_json().encode()) for one in results)
    panel = Panel("all", "sinks", results=names)
    return store.dashboards.save(LOCAL, None, None, "Sinks", [panel]).dashboard_id


def opened() -> AppTest:
    """The page."""
    return AppTest.from_function(script, default_timeout=60).run()


def click(page: AppTest, label: str) -> AppTest:
    """Press the first button of that label."""
    next(button for button in page.button if button.label == label).click()
    return page.run()


def until_shared(page: AppTest) -> str:
    """Rerun, as the page's timer would, until the link is there; its token."""
    end = time.monotonic() + 60
    while not page.code:
        assert time.monotonic() < end and not page.exception, texts(page)
        time.sleep(0.1)
        page.run()
    return page.code[0].value.removeprefix("/s/")


def test_a_link_is_made_of_numbers_that_were_computed_again(store: Store, sinks: Result) -> None:
    save(store, sinks)
    page = click(opened(), "Share a snapshot")
    token = until_shared(page)
    assert re.fullmatch(r"[\w-]{43}", token)
    assert re.match(r"Verified\\?\. All \d+ numbers", page.success[0].value)
    shown = store.shares.open(token)
    assert shown.verdict.state == "verified" and shown.verdict.n > 0
    (link,) = store.shares.mine(LOCAL)
    assert (link.expires_at - link.created_at).days == 7
    click(page, "I have copied it")
    assert not page.code and token not in texts(page)


def test_every_link_has_its_numbers_computed_for_itself(
    store: Store, sinks: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    real = share_check.work_again

    def counted(frozen: Result) -> Work:
        work = real(frozen)
        return Work(work.key, work.label, lambda e, p: runs.append(work.key) or work.run(e, p))

    monkeypatch.setattr(share_check, "work_again", counted)
    save(store, sinks)
    page = opened()
    for times in (1, 2):
        until_shared(click(page, "Share a snapshot"))
        click(page, "I have copied it")
        assert len(runs) == times
    assert len({*runs}) == 1


def test_numbers_that_were_changed_are_said_to_differ(store: Store, sinks: Result) -> None:
    text = sinks.to_json().replace('"model": "zoo-mha"', '"model": "zoo-linear"')
    save(store, Result.from_json(text))
    page = click(opened(), "Share a snapshot")
    shown = store.shares.open(until_shared(page))
    assert shown.verdict.state == "differs"
    assert "no longer what it was" in shown.verdict.sentence
    assert page.warning[0].value.startswith("Differs")


def test_what_cannot_be_computed_again_is_shared_as_not_checked(
    store: Store, sinks: Result
) -> None:
    save(store, sinks, every_kind())
    page = click(opened(), "Share a snapshot")
    shown = store.shares.open(until_shared(page))
    states = sorted(verdict.state for verdict in shown.verdicts.values())
    assert states == ["not checked", "verified"] and shown.verdict.state == "not checked"
    assert "Nothing here makes Results of" in shown.verdict.sentence
    assert page.info[0].value.startswith("Not checked")


def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that goes on until it is cancelled."""

    def run(_: object, progress: object) -> None:
        while True:
            progress.breathe()
            time.sleep(0.01)

    monkeypatch.setattr(share_check, "work_again", lambda _: Work("forever", "Forever", run))
    monkeypatch.setattr(share_check, "PATIENCE", 0.0)


def test_cancel_shares_nothing_until_it_is_asked_for(
    store: Store, sinks: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, sinks)
    slow(monkeypatch)
    page = click(opened(), "Share a snapshot")
    assert "0 of 1 results done" in texts(page)
    click(page, "Cancel")
    page.run()
    assert "nothing is shared yet" in texts(page) and store.shares.mine(LOCAL) == ()
    shown = store.shares.open(until_shared(click(page, "Share it unchecked")))
    assert shown.verdict.state == "not checked"
    assert "did not wait for that" in shown.verdict.sentence


def test_after_a_cancel_one_can_go_on_or_leave_it(
    store: Store, sinks: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, sinks)
    with monkeypatch.context() as while_slow:
        slow(while_slow)
        page = click(opened(), "Share a snapshot")
        click(page, "Cancel")
        page.run()
    token = until_shared(click(page, "Go on checking"))
    assert store.shares.open(token).verdict.state == "verified"
    slow(monkeypatch)
    click(page, "Share a snapshot")
    click(page, "Cancel")
    page.run()
    click(page, "Don't share")
    assert "Share a snapshot" in [button.label for button in page.button]
    assert len(store.shares.mine(LOCAL)) == 1


def test_two_clicks_withdraw_a_link(store: Store, sinks: Result) -> None:
    one = save(store, sinks)
    made = store.shares.share(LOCAL, one, 1, "never")
    page = opened()
    assert "no end" in texts(page)
    click(page, "Withdraw")
    assert store.shares.open(made.token)
    click(page, "Keep")
    click(page, "Withdraw")
    click(page, "Withdraw for good")
    with pytest.raises(ShareRefused):
        store.shares.open(made.token)
    assert "Withdrawn" in texts(page)
    assert not [button for button in page.button if button.label.startswith("Withdraw")]


def test_links_to_other_dashboards_are_listed_by_title(store: Store, sinks: Result) -> None:
    other = save(store, sinks)
    store.shares.share(LOCAL, other, 1, "1 h")
    store.dashboards.delete(LOCAL, other)
    save(store, sinks)
    page = opened()
    assert [one.label for one in page.expander] == ["My links to other dashboards (1)"]
    assert "Sinks · " in texts(page)


def test_a_damaged_result_is_named_and_not_shared(store: Store, sinks: Result) -> None:
    save(store, sinks)
    engine().cache.entries.clear()
    (path,) = [one for one in (store.home / "artifacts").rglob("*") if one.is_file()]
    path.write_bytes(b"{}")
    page = opened()
    (button,) = [one for one in page.button if one.label == "Share a snapshot"]
    assert button.disabled and button.help


def test_an_address_is_handed_on_only_if_this_server_goes_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Context:
        url = "http://lamp.example:8501/dashboards?id=1"

    monkeypatch.delenv("HEADLAMP_URL", raising=False)
    monkeypatch.setattr(share_address.st, "context", Context)
    assert share_address.base() == "http://lamp.example:8501"
    monkeypatch.setattr(share_address, "is_host_allowed", lambda host: False)
    assert share_address.base() == ""
    for url in ("javascript:alert(1)", "", None, "file:///etc/passwd"):
        Context.url = url
        monkeypatch.setattr(share_address, "is_host_allowed", lambda host: True)
        assert share_address.base() == ""
    monkeypatch.setenv("HEADLAMP_URL", "https://lamp.example/")
    assert share_address.base() == "https://lamp.example"


def test_a_look_up_refuses_what_was_not_looked_at(sinks: Result) -> None:
    made = Making("d", 1, "1 d", {"a": sinks}, {"a": "the model is gone."})
    with pytest.raises(Refused, match="the model is gone"):
        made.recompute()(sinks)
    with pytest.raises(Refused, match="not one of those"):
        made.recompute()(every_kind())


def test_states_of_links() -> None:
    now = datetime.now(UTC)
    one = Share("i", "d", 1, "o", "verified", now, now + timedelta(hours=1), None)
    assert share_links.state_of(one)[0] == "Open"
    assert share_links.state_of(replace(one, expires_at=None)) == ("Open", " · no end")
    assert share_links.state_of(replace(one, closed_at=now))[0] == "Withdrawn"
    assert share_links.state_of(replace(one, expires_at=None, closed_at=now))[0] == "Withdrawn"
    over = replace(one, expires_at=now - timedelta(seconds=1))
    assert share_links.state_of(over)[0] == "Ended"
    assert share_links.state_of(replace(over, closed_at=over.expires_at))[0] == "Ended"
