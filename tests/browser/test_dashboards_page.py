"""Dashboards in a real browser: figures of two pages, order, a conflict of two, words that act."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import follow_menu, press
from tests.browser.test_probe_pages import bare, settled, unsaid

EVIL = "<img src=x onerror=\"document.title='owned'\"> **b** [a](http://e.example) \u202egnp"
SLOW = 30000  # ms that a page may take to be drawn anew
PANELS = ("Attention matrix of", "numbers of the whole")
TEXT = f"# Heading\n\n<script>document.title='owned'</script> {EVIL} *words*"


def added(page: Page, version: int, title: str = "") -> None:
    """Add the first figure of a page, to a new dashboard where a title is given.

    What was said of an earlier one may still stand there.
    """
    press(page.get_by_role("button", name="Add to dashboard").first)
    dialog = page.get_by_role("dialog")
    if title:
        dialog.get_by_role("combobox").click()
        page.get_by_role("option", name="A new dashboard").click()
        box = dialog.get_by_role("textbox", name="Title of the new dashboard")
        box.fill(title)
        box.press("Tab")
    press(dialog.get_by_role("button", name="Add", exact=True))
    said = page.get_by_text(re.compile(rf"Added to .*, version {version}\."))
    expect(said).to_be_visible(timeout=SLOW)
    expect(dialog).to_have_count(0)


def headings(page: Page) -> list[str]:
    """Titles of texts and panels, from the top."""
    found = page.locator(".headlamp-text h1, [class*=st-key-panel-d]").all_inner_texts()
    known = ("Heading", *PANELS)
    return [next(name for name in known if name in text) for text in found]


def edited(page: Page) -> None:
    """Start to edit."""
    press(page.get_by_role("button", name="Edit"))
    expect(page.get_by_role("button", name="Undo")).to_be_visible(timeout=SLOW)


def renamed(page: Page, title: str) -> None:
    """Another title of the dashboard, and Save."""
    box = page.get_by_role("textbox", name="Title of the dashboard")
    box.fill(title)
    box.press("Tab")
    expect(page.get_by_text("unsaved changes")).to_be_visible(timeout=SLOW)
    press(page.get_by_role("button", name="Save"))


def test_figures_of_two_pages_are_kept_edited_and_saved_by_two(visit):
    page = settled(visit(""))
    added(page, 1, EVIL)
    follow_menu(page, "Heads")
    expect(page.get_by_text("Do they go together?")).to_be_visible(timeout=SLOW)
    settled(page)
    added(page, 2)
    address = page.get_by_role("link", name="Open it").last.get_attribute("href")
    page.goto(page.url.rsplit("/", 1)[0] + "/" + address)
    settled(page)
    assert headings(page) == list(PANELS)
    assert bare(page) == [] and unsaid(page) == []

    edited(page)
    press(page.get_by_role("button", name="Add a text"))
    box = page.get_by_role("textbox", name="Text (Markdown)")
    box.fill(TEXT)
    box.press("Tab")
    for place in (2, 1):
        press(page.locator(".st-key-block_up_3 button"))
        expect(page.get_by_text(f"Text, block {place} of 3")).to_be_visible(timeout=SLOW)
    page.reload()  # unsaved edits stay
    expect(page.get_by_role("textbox", name="Text (Markdown)")).to_have_value(TEXT, timeout=SLOW)
    press(page.get_by_role("button", name="Save"))
    expect(page.get_by_text("Version 3 of 3")).to_be_visible(timeout=SLOW)
    page.reload()
    settled(page)
    assert headings(page) == ["Heading", *PANELS]
    assert page.title() != "owned" and page.locator("img[src=x]").count() == 0
    assert "\u202e" not in page.locator("[data-testid=stMain]").inner_text()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("<img src=x")

    other = settled(visit(page.url.split("/", 3)[3]))
    edited(page)
    edited(other)
    renamed(page, "Theirs <b>")
    expect(page.get_by_text("Version 4 of 4")).to_be_visible(timeout=SLOW)
    renamed(other, "Mine")
    for words in ("Theirs: Theirs <b>", "Yours: Mine", "saved version 4 before"):
        expect(other.get_by_text(words)).to_be_visible(timeout=SLOW)
    press(other.get_by_role("button", name="Save mine as the newest"))
    expect(other.get_by_text("Version 5 of 5")).to_be_visible(timeout=SLOW)
    press(other.get_by_role("button", name="History"))
    expect(other.get_by_text(re.compile("Version 4 ·"))).to_be_visible()
