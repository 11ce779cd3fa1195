"""RowState against rows worked out by hand, and the algebra of merging."""

import math
from functools import reduce
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.stats.row_state import SUMS, RowState, Spread

LOGS = torch.tensor([[[[1.0, 2.0, 3.0]]]], dtype=torch.float64).log()  # weights 1/6, 1/3, 1/2
FINITE = st.floats(-200, 200, allow_subnormal=False)
HOLES = st.one_of(st.just(-math.inf), FINITE)


def full(s: Tensor) -> RowState:
    """Every sum there is; positions, norms and signs follow from a key's place in the tile."""
    place = torch.arange(s.shape[-1], dtype=s.dtype)
    return RowState.of(
        s, position=place, norm=(1 + place).expand(s.shape), sign=((-1) ** place).expand(s.shape)
    )


def pieces(s: Tensor, cuts: list[int]) -> list[RowState]:
    """States of consecutive tiles of one row, with what `full` gives each key in the whole."""
    place = torch.arange(s.shape[-1], dtype=s.dtype)
    return [
        RowState.of(
            s[..., i:j],
            position=place[i:j],
            norm=(1 + place[i:j]).expand(s[..., i:j].shape),
            sign=((-1) ** place)[i:j].expand(s[..., i:j].shape),
        )
        for i, j in zip([0, *cuts], [*cuts, s.shape[-1]], strict=True)
    ]


def assert_same(found: RowState, expected: RowState, rtol: float = 1e-11) -> None:
    for name in ("m", *SUMS):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), rtol=rtol, atol=1e-12, msg=name
        )


def test_three_logits_on_paper() -> None:
    state = full(LOGS)
    third = 1 / 3
    assert state.m.item() == math.log(3)
    expected = {
        "l": 2.0,  # 1/3 + 2/3 + 1
        "e": third * math.log(1 / 3) + 2 * third * math.log(2 / 3),
        "z": 14 / 9,  # 1/9 + 4/9 + 1
        "d": 2 / 3 + 2,
        "f": third + 4 * third + 3,
        "r": third - 2 * third + 1,
    }
    for name, number in expected.items():
        assert getattr(state, name).item() == pytest.approx(number, rel=1e-14), name
    assert state.lse.item() == pytest.approx(math.log(6), rel=1e-14)


def test_finalize_with_lse_gives_the_softmax() -> None:
    state = full(LOGS)
    found = state.finalize(state.lse)
    assert found.mass.item() == pytest.approx(1)
    assert found.peak.item() == pytest.approx(1 / 2)
    assert found.square.item() == pytest.approx(7 / 18)
    assert found.participation.item() == pytest.approx(18 / 7)
    entropy = math.log(2) / 2 + math.log(3) / 3 + math.log(6) / 6
    assert found.log.item() == pytest.approx(-entropy)
    assert found.entropy.item() == pytest.approx(entropy)
    assert state.total("d", state.lse).item() == pytest.approx(4 / 3)
    assert state.total("f", state.lse).item() == pytest.approx(7 / 3)
    assert state.total("r", state.lse).item() == pytest.approx(1 / 3)


def test_finalize_without_lse_gives_the_weights_themselves() -> None:
    found = full(LOGS).finalize()
    assert found.mass.item() == pytest.approx(6)
    assert found.peak.item() == pytest.approx(3)
    assert found.square.item() == pytest.approx(14)
    assert found.log.item() == pytest.approx(2 * math.log(2) + 3 * math.log(3))
    assert found.entropy.item() == pytest.approx(full(LOGS).finalize(LOGS.logsumexp(-1)).entropy)
    assert full(LOGS).total("r").item() == pytest.approx(1 - 2 + 3)


def test_finalize_with_another_lse_gives_a_part_of_a_row() -> None:
    """A sink logit of ln 6 takes half of the row; the entropy is that of what is left of it."""
    found = full(LOGS).finalize(torch.full((1, 1, 1), math.log(12), dtype=torch.float64))
    assert found.mass.item() == pytest.approx(1 / 2)
    assert found.peak.item() == pytest.approx(1 / 4)
    assert found.square.item() == pytest.approx(7 / 72)
    weights = [1 / 12, 1 / 6, 1 / 4]
    assert found.log.item() == pytest.approx(sum(w * math.log(w) for w in weights))
    assert found.entropy.item() == pytest.approx(full(LOGS).finalize().entropy.item())


def test_merge_of_two_keys_on_paper() -> None:
    """Weights 1 and 4. Adding up log-sum-exps alone would leave z = 1 + 1/4 and e = 0."""
    one, four = (
        RowState.of(torch.full((1, 1, 1, 1), math.log(w), dtype=torch.float64)) for w in (1, 4)
    )
    for state in (one.merge(four), four.merge(one)):
        assert state.m.item() == math.log(4)
        assert state.l.item() == pytest.approx(1.25)
        assert state.z.item() == pytest.approx(1 + 1 / 16)
        assert state.e.item() == pytest.approx(-math.log(4) / 4)
        assert state.finalize(state.lse).square.item() == pytest.approx(17 / 25)


@pytest.mark.parametrize("nothing", [torch.full((1, 1, 1, 3), -torch.inf), torch.zeros(1, 1, 1, 0)])
def test_no_keys_change_nothing(nothing: Tensor) -> None:
    empty = full(nothing.double())
    assert empty.m.item() == -math.inf and empty.l.item() == 0
    assert_same(full(LOGS).merge(empty), full(LOGS), 0)
    assert_same(empty.merge(full(LOGS)), full(LOGS), 0)
    assert_same(empty.merge(empty), empty, 0)


def test_rows_without_keys_are_zero_not_uniform() -> None:
    state = full(torch.full((1, 1, 2, 5), -torch.inf))
    for lse in (None, state.lse, torch.tensor([[[0.3, -2.0]]])):
        found = state.finalize(lse)
        for x in (found.mass, found.peak, found.log, found.square, state.total("d", lse)):
            assert x.tolist() == [[[0.0, 0.0]]]
        assert found.entropy.isnan().all() and found.participation.isnan().all()
    assert (state.lse == -math.inf).all()


@settings(max_examples=20)
@given(st.lists(HOLES, min_size=1, max_size=12), st.lists(st.integers(0, 12), max_size=2))
def test_any_split_in_any_order_is_the_whole(row: list[float], cuts: list[int]) -> None:
    s = torch.tensor(row, dtype=torch.float64)
    whole = full(s)
    parts = pieces(s, sorted(min(cut, len(row)) for cut in cuts))
    for order in permutations(parts):
        assert_same(reduce(RowState.merge, order), whole)


@settings(max_examples=20)
@given(st.lists(st.lists(HOLES, min_size=1, max_size=4), min_size=3, max_size=3))
def test_merge_is_associative_and_commutative(tiles: list[list[float]]) -> None:
    a, b, c = (full(torch.tensor(x, dtype=torch.float64)) for x in tiles)
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(a.merge(b), b.merge(a), 0)


def test_update_is_the_merge_with_a_tile() -> None:
    s = torch.randn(2, 3, 11, dtype=torch.float64) * 9
    place = torch.arange(11.0, dtype=torch.float64)
    state = RowState.of(s[..., :4], position=place[:4]).update(s[..., 4:], position=place[4:])
    whole = RowState.of(s, position=place)
    for name in ("m", "l", "e", "z", "d"):
        torch.testing.assert_close(getattr(state, name), getattr(whole, name))
    assert state.f is None and state.r is None


def test_what_is_not_wanted_is_not_there() -> None:
    state = RowState.of(LOGS, entropy=False, square=False)
    assert [getattr(state.update(LOGS, entropy=False, square=False), x) for x in SUMS[1:]] == [
        None
    ] * 5
    found = state.finalize(state.lse)
    assert found.log is None and found.square is None and found.mass.item() == pytest.approx(1)


def test_rows_are_taken_from_every_sum() -> None:
    s = torch.randn(2, 7, 5, dtype=torch.float64)
    assert_same(full(s).rows(slice(2, 6)), full(s[:, 2:6]), 0)


def spreads(s: Tensor, lse_in: torch.dtype) -> tuple[Spread, Spread]:
    """In float32, merged from tiles of 8; and in float64 from the same float32 logits."""
    state = reduce(RowState.merge, (RowState.of(x) for x in s.split(8, -1)))
    lse = state.m.to(lse_in) + state.l.log().to(lse_in)
    exact = RowState.of(s.double())
    return state.finalize(lse), exact.finalize(exact.lse)


@pytest.mark.parametrize("level", [0.0, 100.0, -100.0, 1000.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0, 30.0])
def test_large_logits_cost_no_digits(level: float, deviation: float) -> None:
    """lse - E[s] would be off by 1e-5 here; with sums about the maximum nothing large cancels."""
    found, truth = spreads(torch.randn(1, 2, 25, 100) * deviation + level, torch.float64)
    for name in ("mass", "peak", "square"):
        torch.testing.assert_close(
            getattr(found, name).double(), getattr(truth, name), rtol=1e-6, atol=0
        )
    torch.testing.assert_close(found.entropy.double(), truth.entropy, rtol=1e-6, atol=1e-7)


def test_a_log_sum_exp_in_float32_costs_its_own_rounding_and_no_more() -> None:
    """At 100 float32 numbers are 7.6e-6 apart, so weights are right to half of that."""
    found, truth = spreads(torch.randn(1, 2, 25, 100) + 100, torch.float32)
    torch.testing.assert_close(found.mass.double(), truth.mass, rtol=6e-6, atol=0)
    torch.testing.assert_close(found.entropy.double(), truth.entropy, rtol=6e-6, atol=0)
