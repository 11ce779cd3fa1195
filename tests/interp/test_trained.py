"""Trained models of ours in the catalogue: picked by name, snapshots by step, broken ones said."""

from pathlib import Path

import pytest

from interp import catalog
from interp.catalog import load_listed
from models import shelf, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one model trained for four steps, with snapshots."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADLAMP_HOME", str(path))
        texts = ["--corpus", str(ROOT / "README.md"), "--held-out", str(ROOT / "CHANGELOG.md")]
        words = "--variant gqa --size tiny --steps 4 --snapshots".split()
        assert train.main([*words, *texts]) == 0
    return path


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLAMP_HOME", str(home))


def test_it_stands_in_the_picker_and_reads_its_own_tokens() -> None:
    entry = catalog.entries()["zoo-gqa-here"]
    assert entry.title == "Trained here: GQA, softmax in two groups"
    assert (
        catalog.entries()["zoo-gqa"].title == "Zoo: GQA, softmax in two groups"
    )  # the shipped one
    subject = load_listed("zoo-gqa-here")
    assert subject.card.trained and subject.card.vocab_size == 300 and subject.card.n_kv_heads == 2
    tokens = subject.encode("lamp 7 was é<|endoftext|>")
    assert subject.decode(list(tokens.ids)) == "lamp 7 was é<|endoftext|>"
    assert "".join(tokens.labels) == "lamp·7·was·\\xc3\\xa9<|endoftext|>" or "é" in tokens.labels
    assert subject.card.bos == 299 and 299 not in subject.ordinary_ids().tolist()
    assert subject.encode("<|endoftext|>", special=True).ids == (299,)
    twin = subject.twin(0)
    assert twin.encode("lamp").ids == subject.encode("lamp").ids and not twin.card.trained


def test_snapshots_are_models_of_their_own() -> None:
    steps = [one["step"] for one in shelf.read_card(shelf.names()["gqa-here"])["snapshots"]]
    found = [load_listed(f"zoo-gqa-here@{step}").card for step in steps]
    assert [card.trained for card in found] == [step > 0 for step in steps]
    assert len({card.weights_sha256 for card in [*found, load_listed("zoo-gqa-here").card]}) == 4
    with pytest.raises(ValueError, match=r"gqa has no snapshot of step 77; there are \[0, "):
        load_listed("zoo-gqa-here@77")
    with pytest.raises(ValueError, match="give a step after @, such as zoo-gqa-here@100"):
        load_listed("zoo-gqa-here@x")


def test_a_folder_given_by_an_administrator_is_read_as_ours(home: Path, monkeypatch) -> None:
    monkeypatch.setenv("HEADLAMP_MODELS", f"mine={home / 'trained' / 'gqa'}")
    assert (
        load_listed("mine").card.weights_sha256 == load_listed("zoo-gqa-here").card.weights_sha256
    )


def test_a_broken_card_is_left_out_of_the_picker(home: Path) -> None:
    broken = home / "trained" / "broken"
    broken.mkdir()
    (broken / shelf.CARD).write_text("{")
    assert "zoo-broken" not in catalog.entries() and "zoo-gqa-here" in catalog.entries()
