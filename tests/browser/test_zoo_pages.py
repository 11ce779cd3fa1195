"""Compare and Training in a real browser: numbers with their origin, links that show the same."""

import re

from playwright.sync_api import expect

from tests.browser.test_probe_pages import bare, settled, unsaid

MODELS = "models=untrained-softmax,untrained-sink_logit"


def test_models_are_compared_sorted_and_shared(visit):
    page = settled(visit(f"compare?{MODELS}&text=A+lamp+and+a+lamp"))
    heading = page.get_by_role("heading", level=4)
    expect(heading).to_contain_text("a difference of")
    assert bare(page) == [] and unsaid(page) == []
    page.get_by_role("radio", name="Share of the learned sink").or_(
        page.get_by_role("button", name="Share of the learned sink")
    ).first.click()
    page.wait_for_url(re.compile("sort=slot"))
    settled(page)
    other = settled(visit(page.url.split("/", 3)[3]))
    expect(other.get_by_role("heading", level=4)).to_have_text(heading.inner_text())


def test_a_snapshot_is_chosen_and_its_link_shows_the_same(visit):
    page = settled(visit("training"))
    slider = page.get_by_role("slider")
    expect(page.get_by_role("heading", level=4)).to_contain_text(re.compile("phase change|copy"))
    assert bare(page) == [] and unsaid(page) == []
    if not slider.count():  # nothing on this shelf was kept along its training
        return
    slider.first.focus()
    page.keyboard.press("Home")
    page.wait_for_url(re.compile("step=0"))
    settled(page)
    expect(page.get_by_text("at step 0")).to_be_visible()
    other = settled(visit(page.url.split("/", 3)[3]))
    expect(other.get_by_text("at step 0")).to_be_visible()
