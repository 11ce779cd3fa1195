"""The Variants and RoPE pages in a real browser: choose, hover, share, and wrong links."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import fits, follow_menu


def settled(page: Page, seconds: float = 60) -> Page:
    """Wait until nothing is pending."""
    page.wait_for_selector(
        "#page-state[data-pending='0']", state="attached", timeout=seconds * 1000
    )
    return page


def open_by_menu(visit, name: str) -> Page:
    """The page as a visitor gets there: from Explore, by its link on top."""
    page = settled(visit("?starter=sink"))
    page.wait_for_selector("[data-testid=head-view]", timeout=60000)
    follow_menu(page, name)
    page.wait_for_url(re.compile(f"/{name.lower()}"), wait_until="commit")
    return settled(page)


def test_choose_variants_hover_a_matrix_and_share(visit):
    page = open_by_menu(visit, "Variants")
    views = page.get_by_test_id("head-view")
    expect(views).to_have_count(3, timeout=20000)
    expect(page.get_by_text("pattern·v = mix").first).to_be_visible()
    box = page.get_by_role("combobox", name=re.compile("Variants"))
    box.fill("DeltaNet")
    page.get_by_role("option", name="DeltaNet", exact=True).click()
    expect(views).to_have_count(4, timeout=30000)
    assert "variants=softmax%2Csink_logit%2Clinear%2Cdelta" in page.url
    view = views.last
    expect(view.get_by_test_id("head-view-title")).to_have_text("delta H0")
    view.get_by_test_id("token-chip").nth(7).hover()
    expect(view.get_by_test_id("head-view-summary")).to_contain_text("7")
    page.get_by_test_id("stButtonGroup").get_by_text("H3", exact=True).click()
    expect(views.last.get_by_test_id("head-view-title")).to_have_text("delta H3", timeout=20000)
    again = settled(visit(page.url.split("/", 3)[3]))
    expect(again.get_by_test_id("head-view")).to_have_count(4, timeout=20000)
    expect(again.get_by_test_id("head-view-title").last).to_have_text("delta H3")


def test_a_base_gives_a_reach_and_a_link(visit):
    page = open_by_menu(visit, "RoPE")
    expect(page.get_by_text("serves 1,707 tokens")).to_be_visible(timeout=20000)
    field = page.get_by_label("RoPE base", exact=True)
    field.fill("500000")
    field.press("Enter")
    expect(page.get_by_text("Base 500,000 at head width 128")).to_be_visible(timeout=20000)
    assert "base=500000" in page.url
    expect(page.get_by_text("StreamingLLM")).to_be_visible()
    images = page.locator("[data-testid=stImage] img, [data-testid=stImageContainer] img")
    expect(images).to_have_count(11)
    # A picture the server keeps for one run of the page is gone for a browser that asks late.
    for image in images.all():
        assert image.get_attribute("src").startswith("data:image/png")


@pytest.mark.parametrize("name", ["Variants", "RoPE"])
def test_nothing_runs_off_the_page(visit, name: str):
    fits(open_by_menu(visit, name))
