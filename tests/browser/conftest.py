"""A real server on a free port and a real Chromium; skipped, saying why, where there is none."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    sync_playwright,
)

from models import smollm2
from tests.browser.endpoint import Endpoint

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium():
    """Path of a Chromium; the tests are skipped without one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)})")
    return found


@dataclass(frozen=True)
class Running:
    """A server under test."""

    address: str
    pid: int


@pytest.fixture(scope="session")
def endpoint():
    """A chat endpoint on this machine, which the server under test knows."""
    made = Endpoint()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="session")
def running(tmp_path_factory, endpoint):
    """A running Headlamp with the real model; skipped where that has not been fetched."""
    if not smollm2.ready():
        pytest.skip("SmolLM2 has not been fetched; `python -m models.smollm2` does")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=os.environ
        | {
            "PORT": str(port),
            "HEADLAMP_ENDPOINT_URL": endpoint.url,
            "HEADLAMP_ENDPOINT_MODEL": "a-model",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, address, log)
        yield Running(address, process.pid)
    finally:
        process.terminate()
        process.wait(20)
        log.seek(0)
        assert "Traceback" not in (text := log.read()), text[-3000:]


@pytest.fixture(scope="session")
def server(running: Running) -> str:
    """Its address."""
    return running.address


def wait_until_ready(process, address, log, seconds=120):
    """Until /api/ready answers; fails with the server's own words when it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{address}/api/ready", timeout=2)
            return
        except OSError:
            assert process.poll() is None, log.read()
            time.sleep(0.3)
    raise AssertionError("the server did not become ready")


@pytest.fixture(scope="session")
def browser(chromium):
    """One browser for all tests."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def desks(browser: Browser) -> Callable[[str], BrowserContext]:
    """desks(name): that person's browser, with what it has cached since the first test."""
    return cache(lambda whose: browser.new_context())


@pytest.fixture
def visit(desks: Callable[[str], BrowserContext], server: str) -> Iterator[Callable[..., Page]]:
    """visit(query) -> Page; afterwards no console error and no request elsewhere."""
    pages, faults = [], []

    def open_page(query: str = "", color_scheme: str = "light", whose: str = "mine") -> Page:
        page = desks(whose).new_page()
        pages.append(page)
        page.set_viewport_size({"width": 1280, "height": 1400})
        page.emulate_media(color_scheme=color_scheme)
        page.on("console", lambda m: faults.append(said(m)) if is_fault(m) else None)
        page.on("pageerror", lambda e: faults.append(str(e)))
        page.on("request", lambda r: faults.append(r.url) if outside(r.url, server) else None)
        page.goto(f"{server}/{query}")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not faults


def is_fault(message: ConsoleMessage) -> bool:
    """An error on the console, but for Streamlit looking for its base path below the page's own."""
    looks = re.search(r"/\w+/_stcore/(health|host-config)$", message.location.get("url", ""))
    return message.type == "error" and not looks


def said(message: ConsoleMessage) -> str:
    """The words and the address they are about."""
    return f"{message.text} {message.location.get('url', '')}"


def outside(url: str, server: str) -> bool:
    """True for a request that leaves this machine's server."""
    return not url.startswith((server, server.replace("http", "ws"), "data:", "blob:"))


# Resolves once nothing on the page has changed for a quarter of a second; gives up after ten.
STILL = """() => new Promise(done => {
  const later = () => setTimeout(done, 250);
  let timer = later();
  setTimeout(done, 10000);
  new MutationObserver(() => { clearTimeout(timer); timer = later(); })
    .observe(document.body, {subtree: true, childList: true, characterData: true});
})"""


def drawn(page: Page) -> Page:
    """Wait until the page stands still: tables and charts are drawn after the run is over."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.evaluate(STILL)
    return page


def press(found: Locator) -> None:
    """Click it once the page stands still: what comes a moment later may push it aside."""
    found.wait_for()
    drawn(found.page)
    found.click()


def settled(page: Page, seconds: float = 120) -> Page:
    """Wait until the head is drawn and nothing is pending."""
    page.wait_for_selector("[data-testid=head-view]", timeout=seconds * 1000)
    page.wait_for_selector(
        "#page-state[data-pending='0']", state="attached", timeout=seconds * 1000
    )
    return page


OVER = """() => { const main = document.querySelector('[data-testid=stMain]');
  return main.scrollWidth - main.clientWidth; }"""


def fits(page: Page) -> None:
    """Nothing runs off the page in a wide and a narrow window, light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 800):
            page.set_viewport_size({"width": width, "height": 900})
            drawn(page)
            over = page.evaluate(OVER)
            assert over <= 1, (page.url, width, scheme, over)


def grid_drawn(page: Page, seconds: float = 60) -> Page:
    """Wait until the grid and one head are drawn, nulls or not."""
    page.wait_for_selector("[data-testid=head-grid-ring]", state="attached", timeout=seconds * 1000)
    page.wait_for_selector("[data-testid=head-view]", timeout=seconds * 1000)
    return page


def follow_menu(page: Page, name: str) -> None:
    """Click a page's link in the menu on top, in its section where it stands in one."""
    sections = page.get_by_test_id("stTopNavSection")
    sections.last.wait_for()
    title = re.compile(rf"{name}\s*$")  # an icon's name stands before it
    link = page.get_by_test_id("stTopNavLink").filter(has_text=title)
    for section in () if link.count() else sections.all():
        section.click()
        link = page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title)
        if link.count():
            break
        page.keyboard.press("Escape")
    link.click()
