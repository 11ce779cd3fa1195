"""Findings: verdicts on hand-made numbers, and the kept ones against the models they speak of."""

import pytest

from interp.catalog import load
from interp.findings.claims import CLAIMS, NEAR, NOT_OVER, PAGES, RECALLS, TWIN, Claim, Comparison
from interp.findings.judge import judge
from interp.findings.numbers import Number, members
from interp.findings.run import TEXT, kept
from interp.findings.shown import TITLES, as_text
from interp.progress import Silent
from interp.summary import SummaryRequest, run
from models import shelf
from models.recipe import MEMBERS


def number(member: str, value: float, seed: int = 0, half: float = 0.1, null: float = 0.0):
    """A number with an interval of that half-width, and a twin's of 0.05."""
    return Number(
        member=member, seed=seed, metric="S", unit="ratio", value=value, low=value - half,
        high=value + half, n=12, n_of="passages", null=null, null_low=null - 0.05,
        null_high=null + 0.05,
    )  # fmt: skip


def verdict(numbers: list[Number], *comparisons: Comparison) -> str:
    return judge(Claim("k", "A.", "p", "s", comparisons, "", ()), numbers).verdict


LARGER = Comparison("S", "a", "b")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([number("a", 1.0), number("b", 0.7)], "confirmed"),
        ([number("a", 0.7), number("b", 1.0)], "refuted"),
        ([number("a", 1.0), number("b", 0.85)], "undecided"),
        # One seed of three that reaches into the other's interval is enough for doubt.
        ([number("a", 1.0), number("a", 0.85, 1), number("b", 0.7)], "undecided"),
        ([number("a", 1.0), number("b", 0.7), number("b", 0.9, 1)], "undecided"),
        ([number("a", 1.0), number("a", 0.95, 1), number("b", 0.7)], "confirmed"),
    ],
)
def test_intervals_of_every_pair_of_seeds_must_separate(numbers, expected) -> None:
    assert verdict(numbers, LARGER) == expected


def test_each_seed_is_held_against_its_own_twin() -> None:
    own = Comparison("S", "a", TWIN)
    # Seed 0 lies under seed 1's twin, which is no matter.
    assert (
        verdict([number("a", 0.3, 0, null=0.1), number("a", 0.9, 1, null=0.6)], own) == "confirmed"
    )
    assert (
        verdict([number("a", 0.3, 0, null=0.1), number("a", 0.7, 1, null=0.6)], own) == "undecided"
    )


def test_nearness_is_of_means_over_seeds() -> None:
    close = Comparison("S", "a", "b", NEAR)
    spread = [number("a", 0.90, 0), number("a", 1.00, 1), number("b", 0.97)]
    assert verdict(spread, close) == "confirmed"
    assert verdict([number("a", 0.90), number("b", 0.94)], close) == "refuted"


def test_no_more_than_is_broken_only_above() -> None:
    low = Comparison("S", "a", "b", NOT_OVER)
    assert verdict([number("a", 0.7), number("b", 1.0)], low) == "confirmed"
    assert verdict([number("a", 1.1), number("b", 1.0)], low) == "confirmed"
    assert verdict([number("a", 1.3), number("b", 1.0)], low) == "refuted"
    one_of_two = [number("a", 1.3), number("a", 1.1, 1), number("b", 1.0)]
    assert verdict(one_of_two, low) == "undecided"


def test_every_claim_stands_on_a_page() -> None:
    assert all(claim.pages and set(claim.pages) <= set(PAGES) for claim in CLAIMS)
    assert {page for claim in CLAIMS for page in claim.pages} == set(PAGES)


def test_parts_of_a_claim_may_differ() -> None:
    numbers = [number("a", 1.0), number("b", 0.7), number("c", 1.3), number("d", 1.05)]
    assert verdict(numbers, LARGER, Comparison("S", "a", "c")) == "refuted in part"
    assert verdict(numbers, LARGER, Comparison("S", "a", "d")) == "confirmed in part"


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ValueError, match="the zoo holds no b for 'S'; train it first"):
        verdict([number("a", 1.0)], LARGER)


def test_the_text_holds_every_number_and_verdict() -> None:
    numbers = [number("a", 1.0), number("b", 0.7)]
    text = as_text([judge(Claim("k", "A.", "p", "s", (LARGER,), "", ()), numbers)], "m")
    assert "| Concentration S, mean over heads" not in text  # titles are of the number, not a mean
    assert "| Concentration S (ratio) | a | 0 | 1.00 [0.900 to 1.10] | 12 passages | 0 [" in text
    assert "## A. **Confirmed.**" in text and "1 confirmed" in text


def test_claims_name_members_and_numbers_that_there_are() -> None:
    for claim in CLAIMS:
        for one in claim.comparisons:
            assert one.metric in TITLES
            known = {*MEMBERS, TWIN}
            assert {one.one, one.other} <= known


def test_what_is_kept_are_the_shipped_models_numbers() -> None:
    found = kept()
    if found is None:
        pytest.skip("no findings were kept yet")
    text = (shelf.SHIPPED / TEXT).read_text(encoding="utf-8")
    assert found.answer in text and all(claim.says in text for claim in CLAIMS)
    tables = {table.key: table for table in found.tables}
    assert set(tables) == {claim.key for claim in CLAIMS}
    recalled = {TITLES[key] for key in RECALLS}
    # Two models read again; the whole of it is what the command does.
    request = SummaryRequest(**found.request)
    for member in ("mha_one_layer", "sigmoid"):
        names = members([member])[member]
        again = {f.key: f for f in run(load(names[0]), request, Silent()).figures}
        seen = 0
        for claim in CLAIMS:
            columns = {c.title: c.values for c in tables[claim.key].columns}
            for i, title in enumerate(columns["Number"]):
                if columns["Model"][i] == MEMBERS[member].title and title not in recalled:
                    key = next(k for k, words in TITLES.items() if words == title)
                    assert columns["value"][i] == pytest.approx(again[key].value, rel=1e-4)
                    assert columns["twin"][i] == pytest.approx(again[key].null, rel=1e-4)
                    seen += 1
        assert seen
