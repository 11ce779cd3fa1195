"""Selection to URL and back, for any selection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state import ALL_ROWS, INLINE, Selection
from interp import prompts

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=3 * INLINE)
zooms = st.tuples(*[st.integers(0, 9999), st.integers(1, 512)] * 2).map(
    lambda z: (z[0], z[0] + z[1], z[2], z[2] + z[3])
)
heads = st.one_of(st.none(), st.tuples(st.integers(0, 999), st.integers(0, 999)))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADLAMP_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@given(
    text=words.filter(bool),
    head=heads,
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    pin=st.one_of(st.none(), st.integers(0, 9999)),
    metric=st.sampled_from(["sink", "S", "induction"]),
    rows=st.one_of(st.none(), st.integers(ALL_ROWS, 9999)),
    zoom=st.one_of(st.none(), zooms),
)
def test_a_typed_selection_survives_its_url(text, head, flags, pin, metric, rows, zoom):
    selection = Selection(
        model="untrained-delta",
        starter="",
        text=text,
        special=flags[0],
        layer=head[0] if head else None,
        head=head[1] if head else None,
        metric=metric,
        ranked=flags[1],
        clipped=flags[2],
        pin=pin,
        rows=rows,
        zoom=zoom,
    )
    assert Selection.from_query(selection.to_query()) == selection


def test_a_starter_selection_survives_and_leaves_defaults_out():
    selection = Selection(starter="names", layer=3, head=4)
    assert selection.to_query() == {"starter": "names", "head": "3.4"}
    assert Selection.from_query(selection.to_query()) == selection
    assert Selection.from_query({}) == Selection()


def test_a_long_prompt_is_kept_by_digest_not_in_the_url():
    long = "x" * (INLINE + 1)
    query = Selection(starter="", text=long).to_query()
    assert "text" not in query and prompts.recall(query["prompt"]) == long


@pytest.mark.parametrize(
    "zoom", ["", "1.2.3", "5.5.0.9", "9.5.0.9", "0.5.9.9", "a.5.0.9", "-1.5.0.9"]
)
def test_a_window_that_is_none_counts_as_absent(zoom):
    assert Selection.from_query({"text": "a", "zoom": zoom}).zoom is None


def test_rows_in_a_link_are_a_number_from_one_on_or_all():
    rows = {text: Selection.from_query({"text": "a", "rows": text}).rows for text in ("512", "all")}
    assert rows == {"512": 512, "all": ALL_ROWS}
    assert all(
        Selection.from_query({"text": "a", "rows": text}).rows is None for text in ("0", "-3", "x")
    )


NAMES = ["head", "token", "metric", "model", "text", "rows", "zoom"]


@given(st.dictionaries(st.sampled_from(NAMES), words))
def test_any_query_is_read_without_an_exception(query):
    assert isinstance(Selection.from_query(query), Selection)


@pytest.mark.parametrize("name", ["", "abc", "../" * 22, "g" * 64, "0" * 64, "0" * 63 + "\n"])
def test_only_digests_of_kept_prompts_are_recalled(name):
    with pytest.raises(prompts.PromptError):
        prompts.recall(name)
