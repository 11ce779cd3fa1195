"""The RoPE page in process: the curve, the table of bounds, every method, and wrong links."""

import pytest
from streamlit.testing.v1 import AppTest

from models.positions.relative import METHODS
from tests.app.conftest import MAIN, settle, texts


def open_rope(**query: str) -> AppTest:
    """The page after it has settled."""
    page = AppTest.from_file(str(MAIN.with_name("views") / "rope.py"), default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return settle(page.run())


def test_the_page_answers_draws_and_names_every_method() -> None:
    page = open_rope()
    assert not page.exception and not page.error
    assert "Base 10,000 at head width 128 serves 1,707 tokens" in texts(page)
    table = next(t.value for t in page.table if "found here" in t.value)
    assert list(table["found here"][:3]) == ["4.29e+03", "1.16e+04", "2.7e+04"]
    assert list(table["blog, finer search"][:3]) == ["4.3e+03", "1.2e+04", "2.7e+04"]
    for method in METHODS.values():
        assert f"**{method.title}**" in texts(page).replace("\\", "")
    assert sum("Largest:" in caption.value for caption in page.caption) == len(METHODS)
    adds = [one.key for one in page.button if one.label == "Add to dashboard"]
    assert adds == [
        "keep-rope-curve",
        "keep-rope-curve-figures",
        *(f"keep-rope-distances-{name}" for name in METHODS),
    ]


def test_a_link_restores_base_width_and_share() -> None:
    page = open_rope(base="500000", width="64", turned="50")
    assert "Base 500,000 at head width 64, 32 of them turning, serves" in texts(page)
    page.number_input(key="r_base").set_value(100.0).run()
    settle(page)
    assert "Base 100 at head width 64" in texts(page)
    assert page.query_params["base"] in ("100", ["100"])


@pytest.mark.parametrize(
    "query",
    [
        {"base": "0"},
        {"base": "nan"},
        {"base": "1e999"},
        {"base": "<b>"},
        {"width": "7"},
        {"width": "1e30"},
        {"width": "inf"},
        {"turned": "-5"},
        {"turned": "1"},
    ],
    ids=str,
)
def test_a_link_that_makes_no_sense_says_so_and_the_page_stands(query: dict[str, str]) -> None:
    page = open_rope(**query)
    assert not page.exception
    assert page.error or "serves" in texts(page)
    assert sum("Largest:" in caption.value for caption in page.caption) == len(METHODS)
