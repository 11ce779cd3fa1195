"""Pictures that say what they are, made without a network, and safe whatever the words."""

import io
import socket
import threading
import time
import xml.etree.ElementTree as ElementTree

import altair as alt
import numpy as np
import pytest
from PIL import Image

from app.export.formats import of_exhibit, of_figures, of_result, of_score, only
from app.export.inert import inert
from app.export.matrices import of_matrix, sheet_csv
from app.export.pictures import DRAWN, Caption, caption, drawn, picture
from app.export.words import visible
from interp.catalog import load
from interp.matrices import pooled
from interp.result import Result
from interp.score_grid import score_grid
from tests.app.export.results import every_kind, hostile, real

MOST = 10 * 2**20
MAGIC = {"png": b"\x89PNG\r\n", "svg": b"<svg", "pdf": b"%PDF-"}


def text_of(svg: str) -> str:
    """All words of a picture."""
    return " ".join(t for t in ElementTree.fromstring(svg).itertext() if t.strip())


def shown_of(made: Result) -> list:
    return [*made.scores[:1], *made.curves, *made.heats]


@pytest.mark.parametrize("kind", DRAWN)
def test_every_kind_of_figure_is_drawn(kind):
    made = every_kind()
    for shown in shown_of(made):
        data = picture(kind, made, shown)
        data = data.encode() if isinstance(data, str) else data
        assert data.startswith(MAGIC[kind]) and len(data) < MOST


@pytest.mark.parametrize("made", [real()[0], real()[5]], ids=lambda r: r.probe)
def test_a_picture_says_what_it_is(made):
    shown = shown_of(made)[0]
    words = text_of(picture("svg", made, shown))
    whole = " ".join(words.split())
    for said in (shown.title, shown.unit, shown.source, made.digest, "n = "):
        assert " ".join(said.split()) in whole
    for sentence in shown.definition.split(". "):
        assert sentence.rstrip(".") in whole
    ground = Image.open(io.BytesIO(picture("png", made, shown))).convert("RGB").getpixel((2, 2))
    assert ground == (255, 255, 255)


def test_hostile_words_are_words():
    made = hostile()
    for shown in shown_of(made):
        svg = picture("svg", made, shown)
        tags = {e.tag.rsplit("}")[-1] for e in ElementTree.fromstring(svg).iter()}
        assert not tags & {"script", "foreignObject", "a", "img", "iframe"}
        places = [
            value
            for e in ElementTree.fromstring(svg).iter()
            for name, value in e.attrib.items()
            if name.rsplit("}")[-1] in {"href", "src"} or name.startswith("on")
        ]
        assert all(place.startswith("data:image/png;base64,") for place in places)
        assert not {"\u202e", "\u2066", "\x1b", "\x07", "\u200b"} & set(svg)


def test_a_chart_cannot_fetch_anything():
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)

        def listen() -> None:
            try:
                asked.append(server.accept())
            except TimeoutError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.csv"
        chart = alt.layer(alt.Chart(url).mark_point().encode(x="a:Q"))
        try:
            drawn("svg", chart, Caption("x", ()))
        except ValueError as problem:
            assert "127.0.0.1" in str(problem)
        thread.join()
    assert not asked


def test_a_picture_takes_a_second_and_not_ten_megabytes():
    picture("svg", every_kind(), every_kind().scores[0])  # the first one starts the engine
    pattern = np.tril(np.random.default_rng(0).random((1500, 1500)))
    card = load("untrained-softmax").card
    makers = of_matrix(card, pattern, [f"token {i}" for i in range(1500)], "L0H0")
    assert set(makers) == {"png", "svg", "pdf"}
    for make in makers.values():
        start = time.process_time()
        assert len(make()) < MOST
        assert time.process_time() - start < 8


def test_a_matrix_as_a_sheet_and_as_blocks():
    pattern = np.array([[1.0, 0.0], [0.25, 0.75]])
    assert sheet_csv(pattern, ["=a", "b"]).splitlines() == [
        '"query","token","0 =a","1 b"',
        '0,"\'=a",1.0,0.0',
        '1,"b",0.25,0.75',
    ]
    signed = np.array([[1.0, 0, 0], [-3.0, 2.0, 0], [0.5, -0.1, 0.2]])
    assert pooled(signed, 2).tolist() == [[-3.0, 0.0], [0.5, 0.2]]


def test_a_score_as_a_map_keeps_every_number():
    score = every_kind().scores[0]
    made = score_grid(score)
    np.testing.assert_array_equal(made.value, score.value)
    assert made.rows == ("L0", "L1") and made.columns == ("H0", "H1", "H2")
    assert list(made.nulls) == ["twin one", "check"]


def test_every_format_is_made_only_when_it_is_asked_for():
    made = every_kind()
    data = {"csv", "json", "parquet"}
    assert set(of_score(made, made.scores[0])) == data | set(DRAWN)
    assert set(of_exhibit(made, made.curves[0])) == data | set(DRAWN)
    assert set(of_exhibit(made, made.tables[0])) == set(of_figures(made, made.figures)) == data
    assert set(of_result(made)) == data
    for makers in (of_exhibit(made, made.tables[0]), of_figures(made, made.figures)):
        assert all(make() for make in makers.values())
    alone = only(made, made.heats[0])
    assert alone.heats == made.heats and not (alone.scores or alone.curves or alone.tables)


def test_words_are_visible_and_bounded():
    assert visible("a\u202eb\x07\n") == "a\\u202eb\\x07\n"
    assert len(visible("a" + "\u0301" * 500)) == 5
    made = inert(hostile())
    assert "\\" not in made.curves[0].x_title + made.heats[0].column_title
    np.testing.assert_array_equal(made.heats[0].value, hostile().heats[0].value)
    assert caption(made, made.scores[0]).title == made.scores[0].title
