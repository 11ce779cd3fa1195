"""Long prompts in a real browser: layers as they come, a sample, overview and window, memory."""

import lzma
import re
import time
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from interp import prompts
from tests.browser.conftest import Running, grid_drawn, settled
from tests.browser.test_explore import type_prompt

SENTENCES = "".join(f"The keeper lit lamp {i} and the boats came home. " for i in range(400))
WINDOW = re.compile(r"zoom=(\d+)\.(\d+)\.(\d+)\.(\d+)")
UNTRAINED = "?model=untrained-softmax&text=short"  # one token a byte


def long_head(visit, tokens: int, query: str = UNTRAINED) -> Page:
    """A page with the overview of a long prompt on an untrained model."""
    page = settled(visit(query))
    type_prompt(page, SENTENCES[:tokens])
    page.get_by_test_id("head-overview-pane").wait_for(timeout=60000)
    return page


def zoom(page: Page) -> tuple[int, ...]:
    """The window in the URL, once there is one."""
    page.wait_for_url(WINDOW, timeout=20000)
    return tuple(map(int, WINDOW.search(page.url).groups()))


def test_layers_appear_one_by_one_and_nothing_moves(visit):
    page = grid_drawn(visit())
    type_prompt(page, SENTENCES[:2500])
    grid = page.get_by_test_id("head-grid")
    page.locator("[data-testid=head-grid][data-measured]:not([data-measured='30'])").wait_for()
    expect(page.get_by_test_id("head-view")).to_have_count(0, timeout=30000)  # the one before
    place, seen = grid.bounding_box(), set()
    end = time.monotonic() + 120
    while not page.get_by_test_id("head-view").count():
        assert time.monotonic() < end, f"the matrix never came; layers seen: {sorted(seen)}"
        seen.add(int(grid.get_attribute("data-measured")))
        page.wait_for_timeout(100)
    assert len(seen - {30}) >= 2, seen
    assert grid.bounding_box() == place
    page.get_by_role("button", name="Cancel", exact=True).click()


def test_a_window_is_moved_by_mouse_and_by_keyboard_and_kept_in_the_url(visit):
    page = long_head(visit, 2500)
    title = page.get_by_test_id("head-view-title")
    expect(title).to_contain_text("queries 2,244–2,499 × keys 2,244–2,499", timeout=20000)
    expect(page.get_by_test_id("token-chip")).to_have_count(256)

    settled(page)
    plan = page.get_by_test_id("head-overview").bounding_box()
    page.mouse.click(plan["x"] + 0.2 * plan["width"], plan["y"] + 0.8 * plan["height"])
    r0, r1, k0, k1 = zoom(page)
    assert r1 - r0 == k1 - k0 == 256 and abs(r0 + 128 - 2000) < 40 and abs(k0 + 128 - 500) < 40
    expect(title).to_contain_text(f"queries {r0:,}–{r1 - 1:,} × keys {k0:,}–{k1 - 1:,}")
    expect(page.get_by_test_id("token-chip")).to_have_count(512)

    page.get_by_test_id("head-overview").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("-")
    smaller = (r0 + 64, r0 + 192, k0 + 192, k0 + 320)
    page.wait_for_url(re.compile("zoom=" + r"\.".join(map(str, smaller))), timeout=20000)
    expect(page.get_by_test_id("token-chip")).to_have_count(256, timeout=20000)
    chip = page.locator(f"[data-testid=token-chip][data-index='{smaller[0] + 3}']")
    chip.hover()
    said = page.get_by_test_id("head-view-summary")
    expect(said).to_contain_text(
        re.compile(rf"token {smaller[0] + 3} .* reads most here: \d+ .* 0\.\d+")
    )
    expect(said).to_contain_text("it is no key of this window")

    other = visit(page.url.split("/", 3)[3])
    expect(other.get_by_test_id("head-view-title")).to_have_text(title.inner_text(), timeout=30000)


def test_a_sample_says_so_and_is_replaced_by_all_rows(visit):
    name = prompts.keep(SENTENCES[1:6001])
    page = visit(f"?model=untrained-softmax&rows=128&prompt={name}")
    expect(page.get_by_text("128 of 6,000 query rows, sampled; all rows follow")).to_be_visible(
        timeout=60000
    )
    expect(page.get_by_test_id("head-view-title")).to_be_visible(timeout=60000)
    expect(page.get_by_text(re.compile(r"n = 128\b")).first).to_be_visible()
    place = page.get_by_test_id("head-grid").bounding_box()
    expect(page.get_by_text(re.compile(r"n = 6000\b")).first).to_be_visible(timeout=90000)
    expect(page.get_by_text("sampled; all rows follow")).to_have_count(0)
    assert page.get_by_test_id("head-grid").bounding_box() == place


@pytest.fixture(scope="module")
def book(shared_data) -> str:
    """Some 4,096 tokens of a novel."""
    with lzma.open(shared_data("books") / "heldout.txt.xz", "rt", encoding="utf-8") as file:
        file.read(20000)
        return file.read(17000)


class Peak:
    """The most memory that a process holds from now on, in bytes more than it holds now."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.exact = self.reset()
        self.before = self.most = self.process.memory_info().rss

    def reset(self) -> bool:
        """Start the kernel's own high-water mark afresh; False where that is not allowed."""
        try:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        except OSError:
            return False
        return True

    def growth(self) -> int:
        """Up to now; where there is no mark of the kernel's, of the moments this was called."""
        self.most = max(self.most, self.process.memory_info().rss)
        if self.exact:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.most = max(self.most, 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]))
        return self.most - self.before


@pytest.mark.slow
def test_four_thousand_tokens_of_a_book_through_smollm2(visit, running: Running, book):
    page = grid_drawn(visit())
    # The model and its random-init twin are there from the first prompt on, whatever its length.
    type_prompt(page, "A short prompt comes first.")
    settled(page, 300)
    peak, start = Peak(running.pid), time.monotonic()
    type_prompt(page, book)
    choice = page.get_by_role("button", name=re.compile(r"^All rows \(about"))
    choice.or_(page.locator("[data-measured='0']")).first.wait_for(timeout=120000)
    if choice.count():
        choice.click()
    first_seen: dict[int, float] = {}  # layers -> seconds
    end = time.monotonic() + 900
    while not page.get_by_test_id("head-overview-pane").count():
        assert time.monotonic() < end, f"the overview never came; layers seen: {first_seen}"
        if page.locator("[data-measured]").count():
            layers = int(page.get_by_test_id("head-grid").get_attribute("data-measured"))
            first_seen.setdefault(layers, time.monotonic() - start)
        peak.growth()
        page.wait_for_timeout(200)
    appeared = {layers: at for layers, at in first_seen.items() if layers}
    assert len(appeared) > 15, first_seen
    reading = peak.growth()
    page.get_by_test_id("head-overview").focus()
    page.keyboard.press("Home")
    page.wait_for_url(re.compile(r"zoom=0\.256\.0\.256"))
    expect(page.get_by_test_id("head-view-title")).to_contain_text(
        "queries 0–255 × keys 0–255", timeout=120000
    )
    grown = f"{peak.growth() / 1e6:.0f} MB{'' if peak.exact else ', sampled'}"
    print(  # noqa: T201
        f"{page.get_by_text(re.compile('tokens · ')).first.inner_text()}: first layers after "
        f"{min(appeared.values()):.1f} s, all after {max(appeared.values()):.1f} s; "
        f"the server grew by {reading / 1e6:.0f} MB up to then, by {grown} with the first nulls"
    )
    assert peak.growth() < 500 * 10**6, grown
