"""A report with the network off, and every kind of file of one figure of a page."""

import csv
import io
import json
import urllib.parse

import pyarrow.parquet as pq
import pytest
from PIL import Image

from app.export.dashboard import open_file
from app.export.report import report
from interp.store.blocks import Markdown, Panel
from tests.app.export.results import HOSTILE, every_kind, hostile, real
from tests.browser.conftest import drawn

NAMES = {"hostile": "a" * 64, "sinks": "b" * 64, "study": "c" * 64, "kinds": "d" * 64}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A report that holds every hostile string in every place that takes one."""
    results = {
        NAMES["hostile"]: hostile(),
        NAMES["sinks"]: real()[0],
        NAMES["study"]: real()[5],
        NAMES["kinds"]: every_kind(HOSTILE[1:3]),
    }
    blocks = [
        Markdown("\n\n".join(["# Words", *HOSTILE, *(f"- {x}\n\n> {x}" for x in HOSTILE)])),
        Markdown("[ok](https://example.org/a) &#x202e; `</script>`\n\n<b onclick=x>b</b>"),
        Panel("all", "sinks", {}, title=HOSTILE[0], results=(NAMES["hostile"],)),
        Panel("sink", "sinks", {}, title="Sinks", results=(NAMES["sinks"],)),
        Panel("all", "sinks", {}, title=HOSTILE[9], results=(NAMES["study"], NAMES["kinds"])),
        Panel(HOSTILE[1], "sinks", {}, results=(NAMES["kinds"],)),
    ]
    data = report(HOSTILE[1], blocks, results)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(data)
    return path, blocks, results


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_opens_with_the_network_off_and_nothing_in_it_runs(browser, page_file, scheme):
    path, blocks, results = page_file
    context = browser.new_context(offline=True, color_scheme=scheme, viewport=dict(
        width=800, height=900))  # fmt: skip
    said, asked = [], []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda problem: said.append(str(problem)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert not said
    assert {url for url in asked if not url.startswith("data:image/svg+xml")} == {path.as_uri()}
    assert page.evaluate("window.__pwned") is None
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 200)")
    assert page.evaluate("document.images.length") >= 8
    assert page.evaluate("document.links.length") == 0
    tags = page.evaluate("[...new Set([...document.querySelectorAll('*')].map(e => e.tagName))]")
    assert not {"IFRAME", "OBJECT", "EMBED", "FORM", "LINK", "SVG", "svg", "A"} & {*tags}
    assert page.evaluate("document.scripts.length") == 1, "the data, which is no script"
    marked = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
    assert not [name for name in page.evaluate(marked) if name.startswith("on")]
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    words = page.evaluate("document.body.innerText")
    for text in HOSTILE[:9]:
        if "](" not in text:
            assert text in words
    assert "ok (https://example.org/a)" in words and "\\u202e" in words
    assert not {"\u202e", "\u2066", "\u200b", "\x1b"} & set(words)
    sinks = real()[0]
    for need in (sinks.digest, "n = 34", "95 % interval", "Unit: share of attention", "measured"):
        assert need in words
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    shot = page.locator("img").nth(3).screenshot()
    pixels = Image.open(io.BytesIO(shot)).convert("L")
    assert (pixels.getpixel((2, 2)) > 128) == (scheme == "light")
    context.close()
    found = open_file(path.read_bytes())
    assert found.title == HOSTILE[1] and [*found.blocks] == blocks
    assert {k: r.to_json() for k, r in found.results.items()} == {
        k: r.to_json() for k, r in results.items()
    }


QUERY = {"model": "untrained-softmax", "text": "one two three one two three and four"}


def test_every_kind_of_file_of_one_figure_of_the_sinks_page(visit):
    page = visit(f"sinks?{urllib.parse.urlencode(QUERY)}")
    page.wait_for_selector("#page-state[data-pending='0']", state="attached", timeout=120_000)
    drawn(page)
    page.locator(".st-key-headline").get_by_role("button", name="Definition and data").click()
    found = {}
    for label in ("CSV", "JSON", "Parquet", "PNG", "SVG", "PDF"):
        button = page.locator(".st-key-files-sinks-sink").get_by_role("button", name=label)
        with page.expect_download(timeout=60_000) as download:
            button.click()
        name = download.value.suggested_filename
        assert name == f"headlamp-sinks-sink.{label.lower()}"
        found[label] = download.value.path().read_bytes()
    told = json.loads(found["JSON"])
    heads = [v for row in told["scores"][0]["value"] for v in row]
    rows = [
        r for r in csv.DictReader(io.StringIO(found["CSV"].decode())) if r["role"] == "measured"
    ]
    assert [float(r["value"]) for r in rows] == heads and len(heads) == 16
    table = pq.read_table(io.BytesIO(found["Parquet"])).to_pandas()
    assert table[table.role == "measured"].value.tolist() == heads
    assert Image.open(io.BytesIO(found["PNG"])).size > (1000, 500)
    assert found["SVG"].startswith(b"<svg") and told["digest"].encode() in found["SVG"]
    assert b"Sink share, token 0" in found["SVG"] and found["PDF"].startswith(b"%PDF-")
    with page.expect_download(timeout=60_000) as download:
        page.locator(".st-key-files-sinks").get_by_role("button", name="Script").click()
    text = download.value.path().read_text()
    assert "as_hooked(load(MODEL)" in text and told["digest"] in text
    assert f"TOKENS = {told['request']['ids'][:3]!r}"[:-1] in text
