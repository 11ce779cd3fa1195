"""A page of dashboards in the whole app, and what tests of it share."""

from streamlit.testing.v1 import AppTest

from app.plain import JOINER
from app.starters import saved
from app.store_room import actor, store
from interp.result import Result
from interp.store import Markdown, Panel, Version

SINKS = saved("sink").results["sinks"]
WORDS = Markdown("# Heads\n\nThey *rest*.")


def sound(page: AppTest) -> AppTest:
    """The page, in which nothing broke."""
    assert not page.exception, page.exception
    return page


def words(page: AppTest) -> str:
    """All text of the page, as a reader sees it."""
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "toast")
    blocks = [block for kind in kinds for block in getattr(page, kind)]
    tables = [table.value.reset_index().to_string() for table in page.table]
    shown = " ".join([*(str(block.value) for block in blocks), *tables])
    return shown.replace("\\", "").replace(JOINER, "")


def html(page: AppTest) -> str:
    """What the page hands over as HTML."""
    return " ".join(one.proto.body for one in page.get("html"))


def asked(page: AppTest, name: str) -> str:
    """A parameter of the page's link."""
    found = page.query_params.get(name, "")
    return found[0] if isinstance(found, list) else found


def press(page: AppTest, key: str) -> AppTest:
    """Click a button."""
    return sound(page.button(key=key).click().run())


def panel(result: Result = SINKS, kind: str = "sink", **fields: object) -> Panel:
    """A panel whose Result is in the store."""
    name = store().artifacts.put(actor(), result.to_json().encode())
    given = {"page": "sinks", "query": {"metric": "sink"}, "title": "Sinks"} | fields
    return Panel(kind, results=(name,), **given)


def made(*blocks: object, title: str = "A board") -> Version:
    """A dashboard in the store."""
    return store().dashboards.save(actor(), None, None, title, blocks)
