"""The Sets page: its link, saving and versions, a run over a set, hostile words as text."""

import pytest
from streamlit.testing.v1 import AppTest

from app.engine_room import engine
from app.plain import JOINER
from app.sets_choice import Choice
from app.store_room import actor, store
from interp.set_runs.runs import SetRun
from interp.sets.reading import read
from interp.sets.saved import about, to_bytes
from interp.store import StoreError
from tests.app.conftest import settle

pytestmark = pytest.mark.xdist_group("sets")  # they count what is in the one store

EVIL = "<img src=x onerror=alert(1)> **bold** [a](http://e.example) $x$ \u202egnp \x1b[31m"
FILE = (
    "prompt,label,id\n"
    "The quick brown fox jumps over the dog,animals,a1\n"
    f'"{EVIL}",evil,{EVIL}\n'
    "missing\n"
    "Once upon a time there was a house,tales,a3\n"
).encode()
SMALL = {"model": "untrained-softmax"}
FULL = Choice(
    set_id="0" * 32, version=3, model="untrained-softmax", probe="concentration", prompts=7, seed=5,
    score="n_eff", layer=1, head=12, started=True,
)  # fmt: skip


@pytest.mark.parametrize("choice", [Choice(), FULL])
def test_a_link_restores_the_choice(choice: Choice) -> None:
    assert Choice.from_query(choice.to_query()) == choice
    assert choice is FULL or choice.to_query() == {}


def words(page: AppTest) -> str:
    """All text of the page, as a reader sees it."""
    blocks = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error, *page.success]
    tables = [table.value.reset_index().to_string() for table in page.table]
    shown = " ".join([*(str(block.value) for block in blocks), *tables])
    return shown.replace("\\", "").replace(JOINER, "")


def keep(name: str = "a set", data: bytes = FILE, set_id: str | None = None) -> str:
    """A set in the store that the page looks at."""
    found = read("mine.csv", data)
    rows, meta = to_bytes(found.rows), about("mine.csv", found)
    return store().sets.save(actor(), name, rows, meta, set_id=set_id).set_id


@pytest.mark.parametrize(
    "query",
    [
        {"set": "../x", "version": "-1", "n": "1e9", "seed": "٣", "probe": "<b>"},
        {"set": "0" * 32, "head": "99.99", "score": "no such", "started": "1"},
        {"head": "1.x", "n": "0"},
    ],
)
def test_nonsense_in_the_link_never_raises(open_page, query: dict[str, str]) -> None:
    page = open_page("sets", **(SMALL | query))
    assert not page.exception
    if query.get("set") == "0" * 32:
        assert page.error


def test_an_upload_is_read_told_and_saved(open_page) -> None:
    page = settle(open_page("sets", **SMALL))
    uploader = page.get("file_uploader")[0]
    uploader.upload("mine.csv", FILE, "text/csv").run()
    shown = words(page)
    assert "3 prompts, 1 cannot be read." in shown and "The row has 1 field, the header 3" in shown
    assert "\u202e" not in shown and "\x1b" not in shown
    before = len(store().sets.list(actor()))
    page.text_input(key="set_name_new").set_value(EVIL)
    page.button(key="set_save").click().run()
    assert not page.exception and "Saved 3 prompts, version 1." in words(page)
    assert len(store().sets.list(actor())) == before + 1


def test_a_run_fills_the_page_and_the_link(open_page) -> None:
    kept = keep(EVIL)
    page = settle(open_page("sets", **(SMALL | {"set": kept})))
    assert "3 prompts, 1 rows of the file were not read" in words(page)
    page.button(key="run-set").click().run()
    settle(page)
    assert not page.exception and page.query_params["started"] in ("1", ["1"])
    shown = words(page)
    assert "Over 3 prompts of" in shown and "What makes L" in shown and "twin" in shown
    assert "\u202e" not in shown and "\x1b" not in shown and "\\u202egnp".replace("\\", "") in shown
    ran = next(v for v, _ in engine().cache.entries.values() if isinstance(v, SetRun))
    head = ran.result.scores[0].ranking()[-1]
    page.selectbox(key="sets_head").select(head).run()
    assert not page.exception
    assert page.query_params["head"] in (f"{head[0]}.{head[1]}", [f"{head[0]}.{head[1]}"])
    assert "What makes L{}H{} fire".format(*head) in words(page)


def test_sets_of_one_name_are_told_apart(open_page) -> None:
    first, second = keep("twice"), keep("twice")
    page = settle(open_page("sets", **(SMALL | {"set": first})))
    box = page.selectbox(key="sets_set")
    assert f"twice ({first[-8:]})" in box.options and f"twice ({second[-8:]})" in box.options
    page.run()  # a list with two equal lines would give the first of them here
    assert page.selectbox(key="sets_set").value == first
    page.selectbox(key="sets_set").select(second).run()
    assert page.query_params["set"] in (second, [second])


def test_versions_are_chosen_and_sets_deleted_and_restored(open_page) -> None:
    kept = keep("versions")
    keep(data=b"prompt\nonly one\n", set_id=kept)
    page = settle(open_page("sets", **(SMALL | {"set": kept})))
    assert "version 2 of 2: 1 prompts" in words(page)
    page.selectbox(key="sets_version").select(1).run()
    assert "version 1 of 2: 3 prompts" in words(page)
    next(b for b in page.button if b.label == "Delete this set").click().run()
    assert not page.exception and kept not in [one.id for one in store().sets.list(actor())]
    page.button(key=f"restore_{kept}").click().run()
    assert not page.exception and kept in [one.id for one in store().sets.list(actor())]
    page.text_input(key=f"rename_{kept}").set_value("  ")
    next(b for b in page.button if b.label == "Rename").click().run()
    assert page.error and not page.exception


def test_a_store_that_cannot_be_opened_is_said(open_page, monkeypatch) -> None:
    from app.panels import set_shelf

    def shut() -> None:
        raise StoreError("The store cannot be opened; a backup is beside it.")

    monkeypatch.setattr(set_shelf, "store", shut)
    page = open_page("sets", **SMALL)
    assert not page.exception and "The store cannot be opened" in words(page)
