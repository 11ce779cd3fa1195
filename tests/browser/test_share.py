"""A share link in real Chromium: made on its page, opened by a stranger, withdrawn under them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from interp.catalog import load
from interp.engine.shelf import Shelf
from interp.engine.works import scores_work
from interp.measurements.prompt import PromptRequest
from interp.progress import Silent
from interp.recompute.anew import Anew
from interp.store import LOCAL, Markdown, Panel, Store, open_store
from tests.app.export.results import HOSTILE, every_kind
from tests.browser.conftest import press

TITLE = f"Shared {HOSTILE[0]}"
SIZES = {"width": 1280, "height": 900}
REFUSED = re.compile("This link opens nothing")
PWNED = "window.__pwned === undefined"


@pytest.fixture
def store(running) -> Iterator[Store]:
    """The store of the server under test, from a process of its own."""
    made = open_store()
    yield made
    made.close()


@pytest.fixture
def dashboard(store: Store) -> Iterator[str]:
    """Its id: a text full of traps, and scores that this server can compute again."""
    engine = Anew(Shelf(load, 2**30))
    subject = engine.subject("zoo-mha", Silent())
    request = PromptRequest(ids=subject.encode("The cat sat. The cat saw the dog.").ids)
    result = engine.compute(scores_work(subject.card, "sinks", request, True), Silent())
    name = store.artifacts.put(LOCAL, result.to_json().encode())
    panel = Panel("sink", "sinks", {"model": "zoo-mha"}, "", HOSTILE[1], (name,))
    blocks = [Markdown("\n\n".join(HOSTILE)), panel]
    saved = store.dashboards.save(LOCAL, None, None, TITLE, blocks)
    yield saved.dashboard_id
    store.dashboards.delete(LOCAL, saved.dashboard_id)


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody else's browser."""
    context = browser.new_context(viewport=SIZES, accept_downloads=True)
    yield context
    context.close()


VERIFIED = re.compile(r"Verified\. All \d+ numbers")


def shared(page: Page, verdict: re.Pattern[str] = VERIFIED) -> str:
    """Share the dashboard that is open; the link, once the verdict is there."""
    press(page.get_by_role("button", name="Share", exact=False).first)
    press(page.get_by_role("button", name="Share a snapshot"))
    link = page.get_by_test_id("stCode").filter(has_text="/s/")
    link.wait_for(timeout=60_000)
    expect(link).to_have_text(re.compile(r"^http://127\.0\.0\.1:\d+/s/[\w-]{43}$"))
    expect(page.get_by_text(verdict).first).to_be_visible(timeout=30_000)
    return link.inner_text().strip()


def later(page: Page) -> None:
    """Half a minute passes."""
    page.clock.fast_forward(31_000)


def test_a_link_is_made_opened_kept_and_withdrawn(
    visit, stranger: BrowserContext, dashboard: str, tmp_path: Path
) -> None:
    owner = visit(f"dashboards?id={dashboard}")
    link = shared(owner)
    tab = stranger.new_page()
    tab.clock.install()
    tab.goto(link)
    expect(tab.locator("h1").first).to_have_text(TITLE)
    expect(tab.locator(".snapshot")).to_contain_text("✓ Verified")
    expect(tab.locator("body")).to_contain_text("<script>window.__pwned=1</script>")
    assert tab.evaluate(PWNED) and tab.evaluate("origin") == "null"
    assert tab.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert stranger.cookies() == []
    keep_the_file(tab, stranger, tmp_path / "kept.html")
    tab.mouse.wheel(0, 500)
    later(tab)
    stranger.set_offline(True)  # nobody can say that the link was withdrawn
    later(tab)
    stranger.set_offline(False)
    expect(tab.locator("h1").first).to_have_text(TITLE)
    assert tab.evaluate("scrollY") > 0
    press(owner.get_by_role("button", name="Withdraw", exact=True).first)
    press(owner.get_by_role("button", name="Withdraw for good"))
    gone = owner.get_by_text(re.compile(r"Withdrawn · version 1 · verified"))
    expect(gone).to_be_visible(timeout=30_000)
    later(tab)
    expect(tab.locator("body")).to_contain_text(REFUSED)
    assert TITLE not in tab.content()


def keep_the_file(tab: Page, stranger: BrowserContext, path: Path) -> None:
    """Take the page's file, and open it with the network off."""
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Keep this page as a file").click()
    download.value.save_as(path)
    other = stranger.new_page()
    stranger.set_offline(True)
    other.goto(path.as_uri())
    stranger.set_offline(False)
    expect(other.locator("h1").first).to_have_text(TITLE)
    assert other.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert other.evaluate(PWNED)
    other.close()


def test_it_opens_without_its_model_and_fits_a_narrow_window(
    server: str, store: Store, browser: Browser
) -> None:
    result = every_kind(HOSTILE)  # of a model that is nowhere
    name = store.artifacts.put(LOCAL, result.to_json().encode())
    saved = store.dashboards.save(LOCAL, None, None, "Gone", [Panel("all", "x", results=(name,))])
    made = store.shares.share(LOCAL, saved.dashboard_id, 1, "1 h")
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 800, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{server}/s/{made.token}")
        expect(page.locator("body")).to_contain_text("The answer is 0.5.")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(PWNED)
        context.close()
    store.dashboards.delete(LOCAL, saved.dashboard_id)
