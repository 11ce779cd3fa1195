"""The Variants page in process: every variant is shown, wrong links say what is wrong."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from interp.variants import MOST
from models.registry import VARIANTS
from tests.app.conftest import MAIN, settle, texts

NAMES = list(VARIANTS)
SIXES = [",".join(NAMES[i : i + MOST]) for i in range(0, len(NAMES), MOST)]


def open_variants(**query: str) -> AppTest:
    """The page after it has settled."""
    page = AppTest.from_file(str(MAIN.with_name("views") / "variants.py"), default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return settle(page.run())


def headers(page: AppTest) -> list[dict]:
    """Headers of the matrices on the page."""
    raws = [bytes(part.proto.bytes) for part in page.get("bidi_component")]
    return [json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")]) for raw in raws]


@pytest.mark.parametrize("names", SIXES)
def test_every_variant_shows_its_matrix_and_its_proof(names: str) -> None:
    page = open_variants(variants=names, tokens="20")
    assert not page.exception and not page.error and not page.warning
    chosen = names.split(",")
    assert [h["label"] for h in headers(page)] == [f"{name} H0" for name in chosen]
    assert all(h["rows"] == h["columns"] == 20 for h in headers(page))
    proofs = [c.value for c in page.caption if "pattern·v = mix" in c.value]
    assert len(proofs) == len(chosen)
    adds = [one.key for one in page.button if one.label == "Add to dashboard"]
    assert [key for key in adds if "matrix" in key] == [
        f"keep-variants-matrix-{name}" for name in chosen
    ]
    assert len(adds) == len(chosen) + 5  # rows in three charts, costs in two
    for h, name in zip(headers(page), chosen, strict=True):
        assert (h["sink"] is not None) == VARIANTS[name].traits.sink_slot
        assert h["signed"] != VARIANTS[name].traits.nonnegative
    table = page.table[0].value
    assert list(table.index) == [VARIANTS[n].title for n in chosen] + [
        "uniform causal attention (closed form)"
    ]
    for title, name in zip(table.index, chosen, strict=False):
        exact = VARIANTS[name].traits.exact
        assert table.loc[title, "kind"] == ("measured, derived" if exact else "estimator")
        if VARIANTS[name].traits.row_stochastic:
            assert table.loc[title, "Row sum (weight)"] == "1.00 [1.00, 1.00]"


def test_the_same_seed_is_the_same_page_and_another_is_not() -> None:
    tables = [
        open_variants(variants="softmax,delta", seed=seed).table[0].value
        for seed in ("3", "3", "4")
    ]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


def test_changing_a_control_changes_the_link_and_the_page() -> None:
    page = open_variants(variants="softmax,linear")
    page.multiselect(key="v_names").set_value(["softmax", "delta"]).run()
    settle(page)
    assert page.query_params["variants"] in ("softmax,delta", ["softmax,delta"])
    assert [h["label"] for h in headers(page)] == ["softmax H0", "delta H0"]
    page.slider(key="v_tokens").set_value(17).run()
    settle(page)
    assert headers(page)[0]["rows"] == 17


@pytest.mark.parametrize(
    "query",
    [
        {"variants": "nonsense"},
        {"variants": "softmax,<script>alert(1)</script>"},
        {"seed": "-1"},
        {"seed": "99999999999"},
        {"tokens": "1000000"},
        {"tokens": "two"},
        {"head": "99"},
        {"variants": ",".join(NAMES * 3)},
        {"variants": ""},
    ],
    ids=str,
)
def test_a_link_that_makes_no_sense_opens_a_page_that_does(query: dict[str, str]) -> None:
    page = open_variants(**query)
    assert not page.exception
    assert headers(page) and np.isfinite(headers(page)[0]["high"])
    if "nonsense" in str(query) or "script" in str(query):
        assert "no such variant" in texts(page)
