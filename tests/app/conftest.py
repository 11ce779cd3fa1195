"""The app in process: Streamlit's AppTest over main.py, and a helper that waits for the engine."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.engine_room import engine
from models import smollm2

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def open_page(tmp_path_factory, monkeypatch):
    """open_page(view, **query) -> AppTest after its first run; prompts go to a folder of its own.

    Without a view, the whole app, which opens Explore.
    """
    home = tmp_path_factory.getbasetemp() / "home"
    if not home.exists():
        home.mkdir()
        if smollm2.ready():  # made before, or every worker would make it again
            (home / "models").symlink_to(smollm2.folder().parent)
    monkeypatch.setenv("HEADLAMP_HOME", str(home))

    def open_with(view: str = "", /, **query: str) -> AppTest:
        script = MAIN.with_name("views") / f"{view}.py" if view else MAIN
        page = AppTest.from_file(str(script), default_timeout=60)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return open_with


@pytest.fixture
def visit(open_page):
    """visit(**query) -> the page after its first run, or another view's, in the whole app.

    `open_page` sees to a folder of the tests' own.
    """

    def visit_with(view: str = "dashboards", /, **query: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=60)
        page.switch_page(f"views/{view}.py")
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception, page.exception
        return page

    return visit_with


def pending(page: AppTest) -> int:
    """How many requests the page still waits for, from its marker element."""
    markers = [h.proto.body for h in page.get("html") if "page-state" in h.proto.body]
    return int(markers[-1].split("data-pending='")[1].split("'")[0])


def settle(page: AppTest, seconds: float = 60) -> AppTest:
    """Rerun, as the page's own timer would, until nothing is pending."""
    end = time.monotonic() + seconds
    while pending(page):
        assert time.monotonic() < end, "the page was still waiting"
        idle(2)  # far less than what makes the engine take a browser to be closed
        page.run()
    return page


def idle(seconds: float) -> None:
    """Wait until the engine has nothing to do, that long at most: reruns would only slow it."""
    end = time.monotonic() + seconds
    while engine().alive and time.monotonic() < end:
        time.sleep(0.02)


def texts(page: AppTest) -> str:
    """All prose on the page, and what its tables say."""
    parts = [*page.markdown, *page.caption, *page.error, *page.info, *page.warning]
    tables = [table.value.reset_index().to_string() for table in page.table]
    return "\n".join([*(str(part.value) for part in parts), *tables])
