"""The zoo's roster: what is planned, and what is on the shelf keeps what the roster says."""

import pytest

from models import roster, shelf, zoo_table
from models.recipe import MATCH, MEMBERS, SIZES, config, size


def test_the_plan_holds_what_a_comparison_needs() -> None:
    plan = roster.planned()
    assert len({run.name for run in plan}) == len(plan)
    assert len({MEMBERS[run.member].variant for run in plan}) >= 20
    seeds = {name: {run.seed for run in plan if run.member == name} for name in roster.SEEDS}
    assert all(found == {0, 1, 2} for found in seeds.values())
    for run in plan:
        asked = "--snapshots" in run.words
        assert asked == (run.member in roster.SNAPSHOTS and run.seed == 0)


def test_sizes_within_the_comparison_match() -> None:
    plain = size(config(SIZES["small"], "mha"))
    for name in roster.SHIPPED:
        made = config(SIZES["small"], name)
        if made.n_layers == 2:
            assert abs(size(made) / plain - 1) <= MATCH


def shipped() -> list[str]:
    planned = {run.name for run in roster.planned()}
    return sorted(name for name, at in shelf.names().items()
                  if at.parent == shelf.SHIPPED and name in planned)  # fmt: skip


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_is_of_the_recipe(name: str) -> None:
    card = shelf.read_card(shelf.SHIPPED / name)
    run = next(run for run in roster.planned() if run.name == name)
    assert (card["member"], card["seed"]) == (run.member, run.seed)
    recipe = SIZES["small"].to_dict()
    assert {k: v for k, v in card["recipe"].items() if k in recipe} == recipe
    assert (
        card["steps"] == recipe["steps"] and card["losses"]["held_out"]["unit"] == "nats per byte"
    )
    assert len(card["snapshots"]) == (recipe["snapshots"] - 1 if "--snapshots" in run.words else 0)
    found = shelf.read(shelf.SHIPPED / name)  # checks hashes, names, shapes and finiteness
    assert sum(p.numel() for p in found.model.parameters()) == card["parameters"]


def test_the_table_is_the_cards() -> None:
    said = zoo_table.README.read_text(encoding="utf-8")
    assert said == zoo_table.text(), "run make table"
    for name in shipped():
        loss = shelf.read_card(shelf.SHIPPED / name)["losses"]["held_out"]["value"]
        assert f"{loss:.3f}" in said


def test_a_check_of_what_is_not_shipped_says_so(capsys, tmp_path) -> None:
    words = ["--corpus", str(tmp_path), "--held-out", str(tmp_path), "--check", "path"]
    assert roster.main(words) == 2
    assert "no shipped model is a path" in capsys.readouterr().out


def test_seed_noise_is_the_widest_gap_within_a_member(monkeypatch) -> None:
    made = [
        {"member": member, "losses": {"held_out": {"value": loss}}}
        for member, loss in (("mha", 1.50), ("mha", 1.53), ("linear", 1.9))
    ]
    monkeypatch.setattr(roster, "shipped_cards", lambda: made)
    assert roster.seed_noise() == pytest.approx(0.03)


def test_cards_of_tasks_are_no_part_of_the_zoo() -> None:
    assert all("losses" in card for card in roster.shipped_cards())
