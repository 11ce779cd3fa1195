"""The Explore page in a real browser: type, run, pick, hover, share, cancel, and wrong input."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import grid_drawn, settled

PROMPT = "The lamp was lit and the lamp was carried to the quay"


def type_prompt(page: Page, text: str) -> None:
    """Type a prompt and press Run."""
    page.get_by_label("Prompt", exact=True).fill(text)
    page.get_by_role("button", name="Run", exact=True).click()


def pick(page: Page, layer: int, head: int) -> None:
    """Pick a head with the keyboard, as someone without a mouse would."""
    grid = page.get_by_test_id("head-grid")
    grid.focus()
    page.keyboard.press("Home")
    for _ in range(layer):
        page.keyboard.press("ArrowDown")
    for _ in range(head):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("head-grid-ring")).to_have_attribute(
        "aria-label", f"L{layer}H{head}"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("head-view-title")).to_have_text(f"L{layer}H{head}", timeout=20000)


def test_type_run_pick_hover_and_share(visit):
    page = grid_drawn(visit())
    type_prompt(page, PROMPT)
    page.wait_for_url(re.compile("text=The"))
    expect(page.get_by_test_id("token-chip").first).to_have_text("The")
    expect(page.get_by_test_id("token-chip")).to_have_count(13, timeout=30000)
    pick(page, 11, 1)
    assert "head=11.1" in page.url

    page.get_by_test_id("token-chip").nth(5).hover()
    summary = page.get_by_test_id("head-view-summary")
    expect(summary).to_contain_text("token 5")
    expect(summary).to_contain_text(re.compile(r"reads most: 4 .*0\.\d+"))  # L11H1 looks one back
    page.get_by_test_id("token-chip").nth(5).click()
    page.wait_for_url(re.compile("token=5"))
    settled(page)

    other = settled(visit(page.url.split("/", 3)[3]))
    expect(other.get_by_test_id("head-view-title")).to_have_text("L11H1")
    expect(other.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    expect(other.get_by_test_id("token-chip").nth(5)).to_have_attribute("aria-pressed", "true")
    assert other.locator("h4").inner_text() == page.locator("h4").inner_text()
    assert table(other) == table(page)


def table(page: Page) -> list[str]:
    """Cells of the head's table."""
    return page.locator("[data-testid=stTable] td").all_inner_texts()


def test_every_number_stands_beside_its_null_interval_n_and_kind(visit):
    page = settled(visit("?starter=names&metric=induction&head=18.6"))
    table = page.locator("table", has=page.locator("th", has_text="verdict")).first
    rows = table.locator("tbody tr")
    rows.nth(6).wait_for(timeout=20000)  # a table is drawn a moment after the page is complete
    names = table.locator("thead th").all_inner_texts()
    for i in range(rows.count()):
        cells = dict(zip(names, rows.nth(i).locator("th, td").all_inner_texts(), strict=True))
        assert re.search(r"\[.*, .*\]|not defined", cells["value [95 %]"]), cells
        assert re.search(r"\[.*, .*\]", cells["random-init twin"]), cells
        assert cells["n"].isdecimal() and cells["kind"] in ("measured", "derived", "proxy"), cells
        assert "null" in cells["verdict"] or cells["verdict"] == "not separated", cells


def test_starters_open_at_once_from_saved_results(visit):
    page = settled(visit(), seconds=15)
    expect(page.get_by_text("Saved results of SmolLM2-135M-Instruct")).to_be_visible()
    page.get_by_role("button", name="Names that come back").click()
    expect(page.get_by_test_id("head-view-title")).to_have_text("L18H6", timeout=5000)


def test_clicking_a_thumbnail_and_a_table_row_opens_the_head(visit):
    page = settled(visit("?ranked=1"))
    ring = page.get_by_test_id("head-grid-ring")
    page.get_by_test_id("head-grid").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    label, box = ring.get_attribute("aria-label"), ring.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_test_id("head-view-title")).to_have_text(label)


def test_progress_and_cancel_leave_a_usable_page(visit):
    page = grid_drawn(visit())
    type_prompt(page, "Nobody has asked for this sentence before: cancel it. " * 12)
    button = page.get_by_role("button", name="Cancel", exact=True)
    button.first.click(timeout=20000)
    page.wait_for_selector("#page-state[data-pending='0']", state="attached", timeout=20000)
    expect(page.get_by_text("Cancelled. Press Run to start again.").first).to_be_visible()
    page.get_by_role("button", name="A quiet paragraph").click()
    expect(page.get_by_text("Saved results of")).to_be_visible()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The prompt is empty"),
        ("word " * 210000, r"1,050,000 bytes; the limit is 1,048,576 bytes"),
        ("word " * 9000, r"9,001 tokens; the limit is 8,192, because the model's context is 8,192"),
    ],
)
def test_prompts_that_cannot_be_read_get_a_sentence(visit, text, said):
    page = grid_drawn(visit())
    type_prompt(page, text)
    expect(page.get_by_text(re.compile(said)).first).to_be_visible(timeout=20000)


HOSTILE = (
    "<script>window.pwned=1</script> \u202e<img src=x onerror=window.pwned=1> ![x](//e.example/x)"
)


def test_hostile_text_is_shown_and_never_executed(visit):
    page = grid_drawn(visit())
    type_prompt(page, HOSTILE + "\x07\x1b[31m")
    page.wait_for_url(re.compile("text="))
    expect(page.get_by_test_id("token-chip").filter(has_text="script").first).to_be_visible()
    settled(page)
    page.get_by_test_id("token-chip").first.hover()
    strip = page.get_by_test_id("head-view-strip").inner_text()
    assert "\u202e" not in strip and "\x1b" not in strip and "\\x" in strip
    assert page.evaluate("window.pwned") is None
    assert not page.locator("[data-testid=stMain] img[src*='e.example']").count()


def test_a_model_name_in_a_link_makes_no_request(visit):
    page = visit("?model=!%5Bx%5D(http%3A//e.example/x.png)")
    expect(page.get_by_text("is no model in the list").first).to_be_visible(timeout=20000)
    assert not page.locator("[data-testid=stMain] img, [data-testid=stMain] a").count()


def test_a_dead_prompt_link_can_be_left(visit):
    page = grid_drawn(visit("?prompt=" + "0" * 64))
    pick(page, 11, 1)
    expect(page.get_by_text("encountered an error")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("notes.txt", b"\xff\xfe\xfa\x00\xd8\x00\xd8", "is not UTF-16 text"),
        ("notes.txt", b"\x80\x81", "is not UTF-8 text"),
        ("notes.txt", b"", "The prompt is empty"),
        ("notes.txt", b"x" * (2**20 + 1), "File must be 1"),
    ],
)
def test_uploaded_nonsense_gets_a_sentence(visit, name, data, said):
    page = grid_drawn(visit())
    file = {"name": name, "mimeType": "text/plain", "buffer": data}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text(said).first).to_be_visible()


def test_an_uploaded_text_becomes_the_prompt(visit):
    page = grid_drawn(visit())
    file = {"name": "a.txt", "mimeType": "text/plain", "buffer": PROMPT.encode()}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)


def test_two_people_do_not_disturb_each_other(visit):
    one = grid_drawn(visit("?model=untrained-delta&text=first person writes this"))
    two = grid_drawn(visit("?model=untrained-softmax&text=the other one writes that"))
    settled(one), settled(two)
    pick(one, 1, 3)
    pick(two, 0, 5)
    expect(one.get_by_test_id("head-view-title")).to_have_text("L1H3")
    expect(two.get_by_test_id("head-view-title")).to_have_text("L0H5")
    assert "head=1.3" in one.url and "head=0.5" in two.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_both_themes_and_a_narrow_window_show_everything(visit, scheme, width):
    page = visit("?starter=names&metric=induction", color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    settled(page)
    background = page.locator("[data-testid=stApp]").evaluate(
        "e => getComputedStyle(e).backgroundColor"
    )
    light = sum(map(int, re.findall(r"\d+", background)[:3])) > 384
    assert light == (scheme == "light")
    for part in ("head-grid", "head-view-matrix", "head-view-strip"):
        box = page.get_by_test_id(part).bounding_box()
        assert box["width"] > 150 and box["x"] >= 0 and box["x"] + box["width"] <= width
