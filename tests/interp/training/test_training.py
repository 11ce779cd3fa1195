"""Models along their training: the phase change by hand, curves, and a tiny model's own way."""

import math
from dataclasses import replace

import numpy as np
import pytest

from interp.catalog import load
from interp.progress import Silent
from interp.result import Result
from interp.score_grid import score_grid
from interp.subject import Refused
from interp.summary import SummaryRequest
from interp.texts import PASSAGES, text
from interp.training import snapshots
from interp.training.moments import Moment, key_of, read
from interp.training.phase import GUESS, phase, sentence
from interp.training.shown import trained
from interp.training.snapshots import Snapshot, along, known, usual
from models import train

REQUEST = SummaryRequest(count=3, sequences=4)
STEPS = (0, 100, 300, 600, 1000)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a tiny model that was kept along its training, and one that was not."""
    folder = tmp_path_factory.mktemp("home")

    corpus, held = folder / "corpus.txt", folder / "held.txt"
    names = list(PASSAGES)
    corpus.write_text("\n\n".join(map(text, names[:-1])), encoding="utf-8")
    held.write_text(text(names[-1]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADLAMP_HOME", str(folder))
        for name, more in (("tiny-way", ["--snapshots"]), ("tiny-end", [])):
            out = folder / "trained" / name
            words = ["--variant", "linear", "--size", "tiny", "--corpus", str(corpus)]
            words += ["--held-out", str(held)]
            assert train.main([*words, "--out", str(out), *more]) == 0
        yield folder


@pytest.fixture(scope="module")
def moment(home):
    """One snapshot, measured."""
    return read(load("zoo-tiny-way@24"), REQUEST, Silent())


def way(moment: Moment, levels: list[float], title: str = "M"):
    """A way whose losses on the second copy are these, each sequence a little off by its own."""
    own = np.array([-0.3, -0.1, 0.1, 0.3])
    return [
        (Snapshot("m", title, step, 10 * step, 1, f"{step}"), replace(moment, second=level + own))
        for step, level in zip(STEPS, levels, strict=True)
    ]


def test_the_largest_drop_that_ends_below_guessing_is_a_phase_change(moment) -> None:
    found = phase(way(moment, [7.0, 6.5, 2.0, 1.2, 1.0]), 0)
    assert found.there and (found.before.step, found.after.step) == (100, 300)
    assert found.drop.value == pytest.approx(4.5) and found.drop.paired
    assert found.drop.high - found.drop.low < 1e-9  # every sequence falls alike
    assert found.fall == pytest.approx(0.75) and found.training == pytest.approx(0.2)
    assert found.end[0] == pytest.approx(1.0) and found.neighbours == 4
    words = sentence("M", found)
    assert "a phase change between steps 100 and 300" in words and "4.50 [4.50, 4.50]" in words
    assert "75% of its whole fall in 20% of the training" in words and "n = 4 sequences" in words


def test_a_drop_that_ends_above_guessing_is_none(moment) -> None:
    assert pytest.approx(math.log(50)) == GUESS
    for last, there in ((GUESS + 0.1, False), (GUESS - 0.1, False), (GUESS - 1.0, True)):
        # GUESS - 0.1 is below, but its interval is not
        found = phase(way(moment, [7.0, 6.9, 4.2, 4.1, last]), 0)
        assert found.there == there
    words = sentence("M", phase(way(moment, [7.0, 6.9, 5.2, 5.1, 5.0]), 0))
    assert "M: no phase change" in words and "ends at 5.00" in words and "1.70" in words


def test_a_loss_that_never_falls_is_none(moment) -> None:
    found = phase(way(moment, [3.0, 3.0, 3.0, 3.0, 3.0]), 0)
    assert not found.there and found.fall == 0.0


def test_too_few_snapshots_say_so(moment) -> None:
    assert phase(way(moment, [7.0, 6.5, 2.0, 1.2, 1.0])[:2], 0) is None
    assert "fewer than 3 snapshots" in sentence("M", None)


def test_snapshots_of_the_shelf(home) -> None:
    found = along("zoo-tiny-way")
    assert [one.step for one in found] == sorted({one.step for one in found})
    assert found[0].step == 0 and found[-1].step == 24 and len(found) == 4
    assert found[-1].tokens == 24 * 8 * 32 and found[-1].name == "zoo-tiny-way@24"
    assert len({one.digest for one in found}) == 4
    assert "zoo-tiny-way" in known() and "zoo-tiny-end" not in known() and usual()
    with pytest.raises(Refused, match="trained without snapshots"):
        along("zoo-tiny-end")
    for name in ("zoo-none", "smollm2", "../etc"):
        with pytest.raises(Refused, match="is no model of the zoo"):
            along(name)


def test_a_moment_is_the_summary_and_the_losses_behind_it(moment) -> None:
    figure = moment.summary.exhibit("loss_second")
    assert moment.second.mean() == pytest.approx(figure.value, rel=1e-6)
    assert len(moment.second) == figure.n == 4
    back = Moment.from_plain(moment.to_plain())
    assert back.to_plain() == moment.to_plain() and (back.second == moment.second).all()


def test_keys_name_weights_and_request(home, monkeypatch) -> None:
    first, last = along("zoo-tiny-way")[0], along("zoo-tiny-way")[-1]
    assert key_of(first, REQUEST) != key_of(last, REQUEST)
    assert key_of(first, REQUEST) != key_of(first, SummaryRequest())
    before = key_of(first, REQUEST)
    monkeypatch.setattr(snapshots, "__version__", "0.0")
    assert key_of(along("zoo-tiny-way")[0], REQUEST) != before


def test_curves_of_a_way(home) -> None:
    every = along("zoo-tiny-way")
    here = [(one, read(load(one.name), REQUEST, Silent())) for one in (every[0], every[-1])]
    found = trained({"zoo-tiny-way": here, "none": []}, REQUEST)
    assert Result.from_json(found.to_json()).to_json() == found.to_json()
    assert found.curves[0].key == "loss_second" and len(found.curves) > 6
    for curve in found.curves:
        mine, twin = curve.series[:2]
        assert mine.role == "measured" and twin.role == "null" and mine.x.tolist() == [0, 6144]
        figures = [m.summary.exhibit(curve.key) for _, m in here]
        assert mine.value.tolist() == [f.value for f in figures]
        assert mine.low.tolist() == [f.low for f in figures]
        assert twin.value.tolist() == [f.null for f in figures]
    level = found.curves[0].series[-1]
    assert level.role == "theory" and level.value == pytest.approx([GUESS, GUESS])
    # rows of linear attention sum to 1 and hold no negative entry: its shares are measured
    assert found.request["snapshots"] == {"zoo-tiny-way": [0, 24]}
    score = here[1][1].summary.score("induction")
    heat = score_grid(score, "step 24")
    assert heat.value.shape == (2, 4) and heat.nulls["random-init twin"].shape == (2, 4)
    assert heat.n == 4 and heat.columns == ("H0", "H1", "H2", "H3")
