"""The Sets page in a real browser: broken rows told, a set saved, run over, opened by its link."""

import re
from urllib.parse import urlencode

from playwright.sync_api import Page, expect

from tests.browser.conftest import drawn, press
from tests.browser.test_probe_pages import bare, settled, unsaid

EVIL = "<img src=x onerror=\"document.title='owned'\"> **b** [a](http://e.example) $x$ \u202egnp"
GOOD = ["The quick brown fox jumps over the dog.", EVIL, "In 1999 Alice saw 17 cats."]
BROKEN = [
    (b"[" * 100_000, "nests too deep"),
    (b'{"prompt": "a", "prompt": "b"}', "there twice"),
    (b'{"prompt": NaN}', "NaN is not a number"),
    (b'{"prompt": "a", "n": 1' + b"0" * 400 + b"}", "401 characters"),
    (b'{"label": "only"}', "is missing"),
    (b'{"prompt": 5}', "is 5; write text"),
    (b'{"prompt": "\\ud800"}', "lone surrogate"),
    (b'{"prompt": "caf\xe9"}', "(0xe9) is not UTF-8"),
    (b"[1, 2]", "The row is a list"),
    (b'{"prompt": "' + b"x" * 2**18 + b'"}', "the limit is 262,144"),
]


def file() -> bytes:
    """Three good rows, ten bad ones, and a good one at the end."""
    good = [f'{{"prompt": {quoted(text)}, "label": "{at % 2}"}}' for at, text in enumerate(GOOD)]
    lines = [*(line.encode() for line in good), *(line for line, _ in BROKEN)]
    return b"\n".join([*lines, b'{"prompt": "Once upon a time.", "label": "0"}'])


def quoted(text: str) -> str:
    """A JSON string."""
    return '"' + text.replace('"', '\\"') + '"'


def uploaded(page: Page, data: bytes, name: str) -> None:
    """Hand the page a file."""
    if not drawn(page).get_by_test_id("stFileUploaderDropzone").is_visible():
        page.get_by_text("Upload a set", exact=True).click()
    expect(page.get_by_test_id("stFileUploaderDropzone")).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/json", "buffer": data}
    )


def test_a_set_with_ten_kinds_of_broken_rows_is_saved_and_run(visit):
    page = settled(visit(f"sets?{urlencode({'model': 'untrained-softmax'})}"))
    uploaded(page, file(), EVIL.replace("/", "") + ".jsonl")
    expect(page.get_by_text("4 prompts, 10 cannot be read.")).to_be_visible(timeout=60000)
    rows = page.locator(".st-key-of-set-errors-notes tbody tr")
    expect(rows).to_have_count(len(BROKEN))
    for at, (_, reason) in enumerate(BROKEN):
        expect(rows.nth(at).locator("th")).to_have_text(str(len(GOOD) + 1 + at))
        expect(rows.nth(at)).to_contain_text(reason)
    page.get_by_label("Name").last.fill(EVIL)
    page.get_by_label("Name").last.press("Tab")
    press(page.get_by_role("button", name="Save 4 prompts"))
    expect(page.get_by_text("Saved 4 prompts, version 1.")).to_be_visible(timeout=30000)
    run = page.locator(".st-key-run-set button").locator("visible=true")
    press(run.first)
    heading = page.get_by_role("heading", level=4)
    expect(heading).to_contain_text(re.compile(r"Over 4 prompts of .*\[.*\]"), timeout=60000)
    settled(page)
    for words in ("What makes L", "Highest by Sink share", "Lowest by", "by kind of token", "twin"):
        expect(page.get_by_text(re.compile(words)).first).to_be_visible()
    assert bare(page) == [] and unsaid(page) == []
    assert page.title() != "owned" and page.locator("img[src=x]").count() == 0
    assert "\u202e" not in page.locator("[data-testid=stMain]").inner_text()

    other = settled(visit(page.url.split("/", 3)[3]))
    expect(other.get_by_role("heading", level=4)).to_have_text(heading.inner_text())


def test_a_file_of_another_kind_is_refused(visit):
    page = settled(visit("sets?model=untrained-softmax"))
    uploaded(page, b"PK\x03\x04\x14\x00" + bytes(100), "prompts.csv")
    expect(page.get_by_text(re.compile("a zip archive"))).to_be_visible(timeout=30000)
