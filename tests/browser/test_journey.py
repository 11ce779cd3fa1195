"""The whole way: a broken file, a run, a dashboard from three pages, shared and withdrawn."""

import re
from pathlib import Path
from urllib.parse import urlencode, urljoin

from playwright.sync_api import Browser, Page, expect

from interp.store import LOCAL, open_store
from tests.browser.conftest import drawn, press
from tests.browser.test_probe_pages import settled
from tests.browser.test_sets_page import BROKEN, file, uploaded
from tests.browser.test_share import REFUSED, later, shared

TITLE = "From a broken file to a shared page"
# A run over a set names its prompts by their digest alone; the two probes are computed again.
NOT_ALL = re.compile("1 of 3 results: .* cannot be computed again")
PROMPT = {"model": "zoo-mha", "text": "A lamp and a lamp and a lamp."}


def add(page: Page, words: str, to: str = "") -> None:
    """Press a button that keeps a figure, and say which dashboard; without one, a new one."""
    press(page.get_by_role("button", name=words).locator("visible=true").first)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    if to:
        box = dialog.get_by_role("combobox", name="Dashboard")
        if box.input_value() != to:
            box.click()
            page.get_by_role("option", name=to, exact=True).click()
    else:
        box = dialog.get_by_role("combobox", name="Dashboard")
        if box.input_value() != "A new dashboard":
            box.click()
            page.get_by_role("option", name="A new dashboard").click()
        dialog.get_by_label("Title of the new dashboard").fill(TITLE)
        dialog.get_by_label("Title of the new dashboard").press("Tab")
    press(dialog.get_by_role("button", name="Add", exact=True))
    expect(page.get_by_text(re.compile(rf"Added to {TITLE}, version")).first).to_be_visible(
        timeout=30_000
    )


def test_from_a_broken_file_to_a_withdrawn_link(visit, browser: Browser, tmp_path: Path) -> None:
    page = settled(visit("sets?model=zoo-mha"))
    uploaded(page, file(), "mine.jsonl")
    expect(page.locator(".st-key-of-set-errors-notes tbody tr")).to_have_count(
        len(BROKEN), timeout=60_000
    )
    page.get_by_label("Name").last.fill("Four of fourteen")
    page.get_by_label("Name").last.press("Tab")
    press(page.get_by_role("button", name="Save 4 prompts"))
    expect(page.get_by_text("Saved 4 prompts, version 1.")).to_be_visible(timeout=30_000)
    press(page.locator(".st-key-run-set button").locator("visible=true").first)
    expect(page.get_by_role("heading", level=4)).to_contain_text("Over 4 prompts", timeout=60_000)
    settled(page)
    add(page, "Add to dashboard")
    for name in ("sinks", "induction"):
        page.goto(page.url.split("/sets")[0].split("/sinks")[0] + f"/{name}?{urlencode(PROMPT)}")
        add(settled(page), "Add to dashboard", TITLE)

    found = page.get_by_role("link", name="Open it").first.get_attribute("href")
    page.goto(urljoin(page.url, found))
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible(timeout=30_000)
    drawn(page)
    for button in ("Report (one HTML file)", "Dashboard file (JSON)"):
        with page.expect_download() as download:
            press(page.get_by_role("button", name=button))
        download.value.save_as(tmp_path / f"kept.{'html' if 'HTML' in button else 'json'}")
    link = shared(page, NOT_ALL)

    stranger = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = stranger.new_page()
    tab.clock.install()
    tab.goto(link)
    expect(tab.locator("h1").first).to_have_text(TITLE)
    expect(tab.locator(".snapshot")).to_contain_text(NOT_ALL)
    assert tab.locator("figure").count() >= 3 and stranger.cookies() == []
    offline = browser.new_context(offline=True).new_page()
    offline.goto((tmp_path / "kept.html").as_uri())
    expect(offline.locator("h1").first).to_have_text(TITLE)
    assert offline.evaluate("[...document.images].every(one => one.naturalWidth > 0)")

    press(page.get_by_role("button", name="Withdraw", exact=True).first)
    press(page.get_by_role("button", name="Withdraw for good"))
    expect(page.get_by_text(re.compile("Withdrawn · version"))).to_be_visible(timeout=30_000)
    later(tab)  # nobody touches the tab
    expect(tab.locator("body")).to_contain_text(REFUSED)
    for context in (stranger, offline.context):
        context.close()
    dropped(visit("dashboards"), tmp_path / "kept.json")


def dropped(page: Page, path: Path) -> None:
    """Hand the file back: every panel is computed again and found to match; then tidy up."""
    drawn(page)
    page.get_by_text("Open a dashboard file or a report").click()
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text(TITLE).first).to_be_visible(timeout=30_000)
    store = open_store()
    for one in store.dashboards.list(LOCAL):
        if one.title == TITLE:
            store.dashboards.delete(LOCAL, one.id)
    store.close()
