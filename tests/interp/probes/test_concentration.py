"""Concentration of hand-made patterns against closed forms, with and without token 0."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from interp.probes.concentration import FIRST_ROW, score_concentration
from interp.result import Result
from interp.subject import Refused

T = 21
KEYS = [
    "S", "S_rest", "n_eff", "n_eff_rest", "entropy", "entropy_rest",
    "entropy_share", "entropy_share_rest", "max", "max_rest",
]  # fmt: skip
ROWS = range(FIRST_ROW, T)  # the rows that count; row i sees i + 1 keys


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def run(hand: SimpleNamespace, *patterns: torch.Tensor, **traits: object) -> Result:
    """Heads of one layer, without controls."""
    reading = hand.prompt_reading(torch.stack(patterns)[None])
    return score_concentration(reading, None, hand.card(n_heads=len(patterns), **traits))


def test_first_row_is_the_documented_default() -> None:
    assert FIRST_ROW == 8


def test_uniform_attention_is_every_metrics_baseline(hand: SimpleNamespace) -> None:
    result = run(hand, hand.uniform(T))
    assert [s.key for s in result.scores] == KEYS
    # Concentrated heads have a small S, few keys, little entropy, and a large maximum.
    assert [s.key for s in result.scores if s.stronger == "higher"] == ["max", "max_rest"]
    expected = {
        "S": 1.0,
        "S_rest": 1.0,
        "n_eff": mean([i + 1 for i in ROWS]),
        "n_eff_rest": mean([i for i in ROWS]),
        "entropy": mean([math.log(i + 1) for i in ROWS]),
        "entropy_rest": mean([math.log(i) for i in ROWS]),
        "entropy_share": 1.0,
        "entropy_share_rest": 1.0,
        "max": mean([1 / (i + 1) for i in ROWS]),
        "max_rest": mean([1 / i for i in ROWS]),
    }
    for key, value in expected.items():
        score = result.score(key)
        assert score.value.item() == pytest.approx(value, rel=1e-5), key
        assert score.uniform == pytest.approx(value, rel=1e-12), key
        assert score.n.item() == len(ROWS) and score.note == ""


def test_one_key_a_row(hand: SimpleNamespace) -> None:
    """Identity: S = 1/√n, one effective key, no entropy; the same without token 0 but for n."""
    result = run(hand, hand.identity(T))
    expected = dict.fromkeys(("n_eff", "n_eff_rest", "max", "max_rest"), 1.0)
    expected |= dict.fromkeys(KEYS[4:8], 0.0)
    expected |= {
        "S": mean([(i + 1) ** -0.5 for i in ROWS]),
        "S_rest": mean([i**-0.5 for i in ROWS]),
    }
    assert set(expected) == set(KEYS)
    for key, value in expected.items():
        assert result.score(key).value.item() == pytest.approx(value, abs=1e-6), key


def test_a_pure_sink_leaves_nothing_without_token_0(hand: SimpleNamespace) -> None:
    result = run(hand, hand.first(T), hand.uniform(T))
    for key in KEYS:
        score = result.score(key)
        if key.endswith("_rest"):
            assert score.note.startswith(f"{len(ROWS)} rows ")
            assert np.isnan([score.value[0, 0], score.low[0, 0], score.high[0, 0]]).all()
            assert score.n.tolist() == [[0, len(ROWS)]] and not np.isnan(score.value[0, 1])
        else:
            assert score.note == "" and score.n.tolist() == [[len(ROWS)] * 2]
    assert result.score("n_eff").value[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize(("mass", "dropped"), [(0.9e-3, 3), (1.1e-3, 0)])
def test_rows_that_rest_on_the_sink_are_dropped_and_counted(
    hand: SimpleNamespace, mass: float, dropped: int
) -> None:
    a = hand.uniform(T)
    for i in (3, 9, 12, 20):  # row 3 lies before the window: it must not be counted
        a[i] = 0.0
        a[i, 0], a[i, 2] = 1 - mass, mass
    score = run(hand, a).score("n_eff_rest")
    assert score.n.item() == len(ROWS) - dropped
    assert score.note == (
        "" if not dropped else "3 rows with under 0.001 of their mass left were dropped."
    )
    kept = [float(i) for i in ROWS if i not in (9, 12, 20)] + [1.0] * (3 - dropped)
    assert score.value.item() == pytest.approx(mean(kept), rel=1e-4)


def test_random_rows_against_torchs_entropy_and_the_formulas_as_printed(
    hand: SimpleNamespace,
) -> None:
    a = hand.random_pattern(T, 3) ** 2
    a = a / a.sum(-1, keepdim=True)
    result = run(hand, a)
    m = a.double().numpy()
    for rest, first in ((False, 0), (True, 1)):
        rows = [m[i, first : i + 1] / m[i, first : i + 1].sum() for i in ROWS]
        entropies = [Categorical(torch.tensor(r)).entropy().item() for r in rows]
        expected = {
            "S": mean([np.abs(r).mean() / np.sqrt((r**2).mean()) for r in rows]),
            "n_eff": mean([1 / (r**2).sum() for r in rows]),
            "entropy": mean(entropies),
            "entropy_share": mean(
                [h / math.log(len(r)) for h, r in zip(entropies, rows, strict=True)]
            ),
            "max": mean([r.max() for r in rows]),
        }
        for key, value in expected.items():
            found = result.score(key + "_rest" * rest).value.item()
            assert found == pytest.approx(value, rel=1e-5), key
        rootless = mean([np.abs(r).mean() / (r**2).mean() for r in rows])
        assert abs(result.score("S" + "_rest" * rest).value.item() - rootless) > 0.1


def test_n_eff_is_n_times_S_squared(hand: SimpleNamespace) -> None:
    """Row by row: a prompt of FIRST_ROW + 2 tokens whose two rows are alike but for length."""
    t = FIRST_ROW + 2
    a = torch.zeros(t, t)
    a[:, 0], a[:, 1] = 0.75, 0.25
    a[0] = torch.eye(t)[0]
    result = run(hand, a)
    assert result.score("n_eff").value.item() == pytest.approx(1 / (0.75**2 + 0.25**2), rel=1e-6)
    expected = mean([math.sqrt(1.6 / n) for n in (t - 1, t)])
    assert result.score("S").value.item() == pytest.approx(expected, rel=1e-6)


def test_only_rows_from_the_window_on_count(hand: SimpleNamespace) -> None:
    """Row FIRST_ROW - 1 changes nothing, row FIRST_ROW does."""
    base = run(hand, hand.uniform(T))
    for row, moves in ((FIRST_ROW - 1, False), (FIRST_ROW, True)):
        a = hand.uniform(T)
        a[row] = torch.eye(T)[1]
        for key in KEYS:
            same = run(hand, a).score(key).value == base.score(key).value
            assert same.item() is not moves, (key, row)


def test_a_sink_slot_is_one_more_key_and_never_renormalised_away(hand: SimpleNamespace) -> None:
    traits = dict(row_stochastic=False, sink_slot=True)
    half = run(hand, 0.5 * hand.uniform(T), **traits)
    # Half the mass on the slot, half spread over n keys: H = ln 2 + (ln n) / 2, largest 1/2.
    entropy = [math.log(2) + math.log(i + 1) / 2 for i in ROWS]
    expected = {
        "entropy": mean(entropy),
        "entropy_share": mean([h / math.log(i + 2) for h, i in zip(entropy, ROWS, strict=True)]),
        "max": 0.5,
        "S": 1.0,  # S and n_eff read the real keys as they are: scale does not matter
        "n_eff": mean([i + 1 for i in ROWS]),
    }
    for key, value in expected.items():
        assert half.score(key).value.item() == pytest.approx(value, rel=1e-5), key
    assert "sink slot" in half.score("max").definition
    assert "sink slot" not in half.score("S").definition
    assert half.score("max").uniform == pytest.approx(mean([1 / (i + 2) for i in ROWS]))


def test_signed_rows_read_a_proxy_where_shares_are_needed(hand: SimpleNamespace) -> None:
    a = hand.random_pattern(T, 5, signed=True)
    signed = run(hand, a, nonnegative=False, row_stochastic=False, logits=False)
    plain = run(hand, a.abs() / a.abs().sum(-1, keepdim=True))
    kinds = {s.key: s.provenance for s in signed.scores}
    assert {k for k, kind in kinds.items() if kind == "proxy"} == set(KEYS[4:])
    assert kinds["S"] == kinds["S_rest"] == "measured" and kinds["n_eff"] == "derived"
    for key in KEYS:
        found, expected = signed.score(key).value.item(), plain.score(key).value.item()
        assert found == pytest.approx(expected, rel=1e-5)
    kinds = {s.key: s.provenance for s in plain.scores}
    derived = {"n_eff", "n_eff_rest", "entropy_share", "entropy_share_rest"}
    assert {k for k, kind in kinds.items() if kind == "derived"} == derived
    assert set(kinds.values()) == {"measured", "derived"}


def test_controls_by_name_and_from_their_own_rows(hand: SimpleNamespace) -> None:
    def batch(pattern: torch.Tensor, copies: int = 1) -> torch.Tensor:
        return pattern[None, None, None].repeat(copies, 1, 1, 1, 1)

    controls = hand.prompt_controls(
        batch(hand.uniform(T)), batch(hand.back(T, 1), 3), batch(hand.random_pattern(T, 0))
    )
    reading = hand.prompt_reading(hand.identity(T)[None, None])
    result = score_concentration(reading, controls, hand.card())
    for score in result.scores:
        names = [(c.name, c.is_null) for c in score.controls]
        assert names == [("random-init twin", True), ("shuffled prompt", False)]
        assert score.controls[0].value.item() == pytest.approx(score.uniform, rel=1e-5)
        assert [c.n.item() for c in score.controls] == [len(ROWS), 3 * len(ROWS)]
    assert result.score("n_eff").controls[1].value.item() == pytest.approx(1.0)
    assert result.score("n_eff").verdict().item() == -1
    assert result.score("max").verdict().item() == 1


@pytest.mark.parametrize("t", [1, 2, FIRST_ROW, FIRST_ROW + 1])
def test_short_prompts_are_refused_with_the_numbers(hand: SimpleNamespace, t: int) -> None:
    with pytest.raises(Refused, match=rf"needs 10 tokens.*first 8 rows.*has {t}\."):
        run(hand, hand.uniform(t))


def test_the_shortest_prompt_that_is_not_refused(hand: SimpleNamespace) -> None:
    assert run(hand, hand.uniform(FIRST_ROW + 2)).score("S").n.item() == 2
