"""Hostile text on every page, in every field that a link, an upload or a colleague can fill."""

import json
import re
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from interp.catalog import load
from interp.engine.engine import Engine
from interp.engine.works import scores_work
from interp.measurements.prompt import PromptRequest
from interp.progress import Silent
from interp.sets.reading import read
from interp.sets.saved import about, to_bytes
from interp.store import LOCAL, open_store
from interp.store.blocks import Markdown, Panel
from tests.browser.conftest import ROOT, drawn

PWN = "window.__pwned=1"
PAYLOADS = {
    "image": f"<img src=x onerror={PWN}>",
    "script": f"</script><script>{PWN}</script>",
    "svg": f"<svg/onload={PWN}>",
    "attribute": f"\"'><b onmouseover={PWN}>b</b>",
    "link": f"[a](javascript:{PWN}) <a href='javascript:{PWN}'>c</a>",
    "picture": "![p](http://evil.example/p.png)",
    "maths": rf"$\href{{javascript:{PWN}}}{{x}}$",
    "template": f"{{{{constructor.constructor('{PWN}')()}}}} ${{{PWN}}}",
    "vega": f"datum['x'] \\'+{PWN}+\\' signal(1)",
    "colour": ":red[r] :material/home: :blue-background[b]",
    "bidi": "\u202egnp.exe\u2066\u200b\u0000\x1b]52;c;eA==\x07",
    "marks": "e" + "\u0301" * 100,
}
EVIL = " ".join(PAYLOADS.values())
PAGES = sorted({path.stem for path in (ROOT / "app" / "views").glob("*.py")} - {"account"})
PARAMETERS = (
    "model models text prompt starter metric head token rows zoom study started seed fdr rule card "
    "x y colour brush set own item form rewriter look id version sort open step against example "
    "variants scheme probe score link"
).split()
EACH = 3  # payloads in a parameter: a server takes no longer link
READS_TEXT = ("explore", "sinks", "induction", "concentration", "heads", "circuits", "compare")


def hostile_link() -> str:
    """Every parameter that any page reads, each with other payloads."""
    texts = [*PAYLOADS.values()] * 2
    parts = {name: texts[at % len(PAYLOADS) :][:EACH] for at, name in enumerate(PARAMETERS)}
    return urlencode({name: " ".join(some) for name, some in parts.items()})


def nothing_ran(page: Page, where: str) -> None:
    """No payload acted: no script, no element of theirs, no link that runs, nothing invisible."""
    drawn(page)
    assert page.evaluate("window.__pwned") is None, where
    for bad in ("a[href^='javascript' i]", "img[src='x']", "img[src*='evil']", "b[onmouseover]"):
        assert page.locator(bad).count() == 0, f"{where}: {bad}"
    assert page.locator("svg[onload]").count() == 0, where
    seen = page.locator("body").inner_text()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b\x07]", seen), where
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), where
    assert page.get_by_test_id("stException").count() == 0, where


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_no_parameter_of_a_link_acts(visit, name: str) -> None:
    page = visit(f"{'' if name == 'explore' else name}?{hostile_link()}")
    nothing_ran(page, f"{name}, every parameter")
    if name in READS_TEXT:
        model = {"models": "zoo-mha,zoo-linear"} if name == "compare" else {"model": "zoo-mha"}
        page.goto(page.url.split("?")[0] + "?" + urlencode(model | {"text": EVIL}))
        page.wait_for_selector("#page-state[data-pending='0']", state="attached", timeout=120_000)
        nothing_ran(page, f"{name}, the prompt")


@pytest.fixture
def stored():
    """Ids of a set and of a dashboard whose every word is hostile, and the words of a link."""
    store = open_store()
    rows = [{"prompt": text, "label": text, "id": name} for name, text in PAYLOADS.items()]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    found = read(f"{EVIL}.jsonl", lines)
    kept = store.sets.save(LOCAL, EVIL[:150], to_bytes(found.rows), about(EVIL, found))
    subject = load("zoo-mha")
    request = PromptRequest(ids=subject.encode(EVIL).ids)
    works = [scores_work(subject.card, "sinks", request, with_controls=True)]
    engine = Engine(load)
    result = replace(engine.compute(works[0], Silent()), answer=EVIL, notes=(EVIL,), model=EVIL)
    sha = store.artifacts.put(LOCAL, result.to_json().encode(), kind="result")
    panel = Panel("all", EVIL[:60], {"text": EVIL, "model": EVIL}, EVIL[:60], EVIL[:150], (sha,))
    blocks = [Markdown(EVIL), *map(Markdown, PAYLOADS.values()), panel]
    saved = store.dashboards.save(LOCAL, None, None, EVIL[:150], blocks)
    token = store.shares.share(LOCAL, saved.dashboard_id, saved.number, "1 h").token
    yield kept.set_id, saved.dashboard_id, token
    store.sets.delete(LOCAL, kept.set_id)
    store.dashboards.delete(LOCAL, saved.dashboard_id)


def test_nothing_stored_acts(visit, stored: tuple[str, str, str]) -> None:
    kept, dashboard, token = stored
    places = {
        "sets": f"sets?model=zoo-mha&set={kept}&started=1&n=12",
        "dashboards, the list": "dashboards",
        "dashboards, one": f"dashboards?id={dashboard}",
        "a shared snapshot": f"s/{token}",
    }
    page = visit()
    home = page.url
    for where, query in places.items():
        page.goto(home + query)
        if not query.startswith("s/"):
            nothing_ran(page, where)
    assert page.evaluate("window.__pwned") is None  # of the snapshot, which is no Streamlit page
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert page.locator("body script:not([type='application/json'])").count() <= 1  # its own
