"""The pages of probes in a real browser: no bare number, causes that run, links, both themes."""

import re
import time
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from interp.studies.registry import STUDIES, studies_of
from tests.browser.conftest import drawn, fits, follow_menu

TEXT = "one two three one two three and four, one two three again"
QUERY = {"model": "untrained-softmax", "text": TEXT}
PROBES = ("sinks", "induction", "concentration")
PAGES = ("", *PROBES, "heads", "circuits", "variants", "rope", "system2")

# Digits that are no measurement; everything else has to stand where its n, interval and null do.
NAMES = (
    r"L\d+(H\d+)?|H\d+",  # heads, layers
    r"SmolLM2-135M\S*|GPT-2\S*",
    r"digest [0-9a-f]+",
    r"arXiv[: ]\d{4}\.\d{4,5}|\b(19|20)\d\d\b",  # papers
    r"[\d,]+ (tokens|query rows|layers|heads|characters)",
    r"[\d,]+ of [\d,]+ query rows",
    r"(about|under) [\d,]+ (s|min|h)\b",  # forecasts
    r"seed \d+|token \d+|column \d+|95 %|rank 1\b",
)

# Text with digits outside containers that say where a number comes from.
BARE = """() => {
  const traced = '[class*=st-key-of-], [class*=st-key-wide-], [class*=st-key-settings-of-], '
    + '.st-key-prompt-words, .head-grid, .head-view, .head-overview, button, input, label';
  const found = [];
  const walk = (node, inside) => {
    if (node.nodeType === 3) {
      if (/\\d/.test(node.data) && !inside) found.push(
        [node.data.trim(), (node.parentElement.closest('[data-testid=stMarkdownContainer]')
                            || node.parentElement).textContent]);
      return;
    }
    if (node.nodeType === 1) {
      if (['SCRIPT', 'STYLE', 'TEMPLATE'].includes(node.tagName)) return;
      if (!node.checkVisibility({visibilityProperty: true})) return;
      inside = inside || node.matches(traced);
    }
    if (node.shadowRoot) walk(node.shadowRoot, inside);
    for (const child of node.childNodes) walk(child, inside);
  };
  walk(document.querySelector('[data-testid=stMain]'), false);
  return found;
}"""

CONTAINERS = """() => [...document.querySelectorAll('[class*=st-key-of-]')]
  .filter(e => e.checkVisibility())
  .map(e => [[...e.classList].find(c => c.startsWith('st-key-of-')), e.innerText])"""


def settled(page: Page, seconds: float = 240) -> Page:
    """Wait until nothing is pending."""
    page.wait_for_selector(
        "#page-state[data-pending='0']", state="attached", timeout=seconds * 1000
    )
    return drawn(page)


def link(name: str, **query: str) -> str:
    """The address of a page on a small model."""
    return f"{name}?{urlencode(QUERY | query)}"


def bare(page: Page) -> list[str]:
    """Numbers that nobody can trace: neither in a container nor in a sentence that says it all."""
    left = []
    for text, block in page.evaluate(BARE):
        rest = text
        for name in NAMES:
            rest = re.sub(name, "", rest, flags=re.I)
        whole = re.search(r"n = \d", block) and "[" in block and re.search("null|twin|copy", block)
        if re.search(r"\d", rest) and not whole:
            left.append(text)
    return left


def unsaid(page: Page, seconds: float = 10) -> list[str]:
    """Containers that do not say n, interval and null (or why there is none).

    A caption may be drawn a moment after the page is complete.
    """
    end = time.monotonic() + seconds
    while (left := unsaid_now(page)) and time.monotonic() < end:
        page.wait_for_timeout(200)
    return left


def unsaid_now(page: Page) -> list[str]:
    """The same at this moment."""
    left = []
    for name, text in page.evaluate(CONTAINERS):
        says = (
            re.search(r"\bn\b", text),
            re.search(r"95 %|\[.*, .*\]|interval", text, re.I),
            re.search(r"null|check|twin", text, re.I),
        )
        if not name.endswith(("-answer", "-notes")) and not all(says):
            left.append(name)
    return left


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_a_bare_number(visit, name):
    page = settled(visit(link(name) if name not in ("variants", "rope") else name))
    assert bare(page) == []
    assert unsaid(page) == []


@pytest.mark.parametrize("name", PROBES)
def test_the_main_cause_runs_and_its_link_shows_the_same(visit, name):
    main = next(key for key, one in studies_of(name).items() if one.part == "cause")
    page = settled(visit(link(name)))
    page.locator(f".st-key-run-{main} button").first.click()
    page.wait_for_url(re.compile(f"started={main}"))
    settled(page)
    answer = page.locator(f".st-key-of-{main}-answer")
    expect(answer).to_be_visible(timeout=120000)
    assert bare(page) == [] and unsaid(page) == []
    chart = page.locator(f"[class*=st-key-of-{main}-] [data-testid=stVegaLiteChart]").first
    expect(chart).to_be_visible()
    other = settled(visit(page.url.split("/", 3)[3]))
    assert other.locator(f".st-key-of-{main}-answer").inner_text() == answer.inner_text()


def test_a_changed_setting_waits_for_run_and_survives_a_reload(visit):
    page = settled(visit(link("sinks", study="massive")))
    page.get_by_role("button", name="Settings").last.click()
    field = page.locator("[data-testid=stPopoverBody] input[type=number]").first
    field.fill("50")
    field.press("Enter")
    page.wait_for_url(re.compile(r"massive\.\w+=50"))
    settled(page)
    page.keyboard.press("Escape")
    words = page.locator(".st-key-settings-of-massive").inner_text()
    assert "50" in words
    other = settled(visit(page.url.split("/", 3)[3]))
    assert other.locator(".st-key-settings-of-massive").inner_text() == words
    answer = ".st-key-of-massive-answer"
    assert other.locator(answer).inner_text() == page.locator(answer).inner_text()


def follow(page: Page, name: str) -> None:
    """Click a link of the menu and wait until that page stands: till then the old one is shown."""
    follow_menu(page, name)
    path = "" if name == "Explore" else name.lower()
    page.wait_for_url(re.compile(rf"//[^/]+/{path}(\?|$)"), wait_until="commit")
    arrived(page)


def arrived(page: Page) -> None:
    """Wait until the page's run is over, and then until nothing is pending."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    settled(page)


def test_pages_share_model_prompt_and_head(visit):
    page = settled(visit(link("sinks", head="1.3")))
    for name in ("Induction", "Variants", "Circuits", "Explore"):
        follow(page, name)
        if name != "Variants":
            expect(page.get_by_label("Prompt", exact=True)).to_have_value(TEXT)
            page.wait_for_url(re.compile("model=untrained-softmax"), wait_until="commit")
            assert "head=1.3" in page.url
    page.go_back(wait_until="commit")
    if "/circuits" not in page.url:  # Streamlit at times keeps a page's bare address as a step too
        arrived(page)
        page.go_back(wait_until="commit")
    page.wait_for_url(re.compile("/circuits"), wait_until="commit")
    arrived(page)


def test_every_study_of_a_page_can_be_opened_by_its_name(visit):
    page = settled(visit(link("concentration")))
    rest = list(studies_of("concentration"))
    for key in rest:
        button = page.locator(".st-key-study button", has_text=STUDIES[key].title)
        if button.count():
            button.first.click()
            expect(
                page.locator(".st-key-study-panel h5", has_text=STUDIES[key].title)
            ).to_be_visible(timeout=20000)
            settled(page)
            assert bare(page) == [] and unsaid(page) == []


def test_a_wrong_setting_in_a_link_is_a_sentence(visit):
    page = settled(visit(link("sinks", study="massive", **{"massive.least": "many"})))
    expect(page.get_by_text("least is 'many'")).to_be_visible()
    page.get_by_role("button", name="Back to the defaults").click()
    expect(page.get_by_text("least is 'many'")).to_have_count(0)


@pytest.mark.parametrize("name", (*PROBES, "circuits"))
def test_nothing_runs_off_a_page(visit, name: str):
    fits(settled(visit(link(name))))
