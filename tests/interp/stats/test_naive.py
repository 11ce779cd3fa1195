"""The dense truth against a matrix worked out by hand, plain loops and other people's attention."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask, flex_attention
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from interp.stats.head_stats import HeadStats
from interp.stats.naive import naive
from interp.stats.wanted import Wanted
from models.attention.contract import repeat_groups
from models.forms import Dots
from tests.interp.stats.cases import CASES, Case, everything


def by_hand(**options: object) -> Dots:
    """Rows 1 | 1/3 2/3 | 1/6 1/3 1/2: the logits of key j are ln(j + 1) in every row."""
    q = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log().expand(1, 1, 3, 3)
    return Dots(q=2 * q, k=torch.eye(3, dtype=torch.float64)[None, None], scale=0.5, **options)


ALL = Wanted(
    apart=1, entropy=True, square=True, distance=True, argmax=True, top=2, columns=(0, 2, 7),
    offsets=(0, 1), targets=torch.tensor([[-1, 0, 1]]), lags=True, received=True, block=2,
    valued=True,
)  # fmt: skip
NORMS = torch.tensor([[[1.0, 10.0, 100.0]]], dtype=torch.float64)


def assert_numbers(found: HeadStats, expected: dict[str, list]) -> None:
    for name, numbers in expected.items():
        x = found
        for part in name.split("."):
            x = getattr(x, part)
        np.testing.assert_allclose(x[0, 0], numbers, rtol=1e-13, atol=1e-15, err_msg=name)


def test_three_tokens_by_hand() -> None:
    found = naive(by_hand(), ALL, NORMS)
    ln2, ln3, ln6 = (math.log(x) for x in (2, 3, 6))
    assert found.visible.tolist() == [[1, 2, 3]]
    expected = {
        "row_sum": [1, 1, 1],
        "lse": [0, ln3, ln6],
        "every.mass": [1, 1, 1],
        "every.peak": [1, 2 / 3, 1 / 2],
        "every.square": [1, 5 / 9, 7 / 18],
        "every.entropy": [0, ln3 - 2 * ln2 / 3, ln6 - ln2 / 3 - ln3 / 2],
        "every.participation": [1, 9 / 5, 18 / 7],
        "rest.mass": [0, 2 / 3, 5 / 6],
        "rest.peak": [0, 2 / 3, 1 / 2],
        "rest.square": [0, 4 / 9, 13 / 36],
        "rest.log": [0, 2 / 3 * math.log(2 / 3), -ln3 / 3 - ln2 / 2],
        "distance": [0, 1 / 3, 2 / 3],
        "argmax": [0, 1, 2],
        "top_keys": [[0, -1], [1, 0], [2, 1]],
        "top_weights": [[1, 0], [2 / 3, 1 / 3], [1 / 2, 1 / 3]],
        "columns": [[1, 0, 0], [1 / 3, 0, 0], [1 / 6, 1 / 2, 0]],
        "offsets": [[1, 0], [2 / 3, 1 / 3], [1 / 2, 1 / 3]],
        "targets": [0, 1 / 3, 1 / 3],
        "lags": [13 / 6, 2 / 3, 1 / 6],
        "received": [3 / 2, 1, 1 / 2],
        "block_sum": [[2, 0], [1 / 2, 1 / 2]],
        "block_peak": [[1, 0], [1 / 3, 1 / 2]],
        "valued": [1, 7, 321 / 6],
    }
    assert_numbers(found, expected)


def test_a_sink_logit_takes_its_share() -> None:
    """With a virtual key of weight 6 the last row has half of its mass; entropy is of that half."""
    plain = naive(by_hand(), ALL, NORMS)
    found = naive(by_hand(sink=torch.full((1, 1, 3), math.log(6), dtype=torch.float64)), ALL, NORMS)
    assert_numbers(found, {"row_sum": [1 / 7, 1 / 3, 1 / 2], "lse": np.log([7, 9, 12])})
    assert_numbers(
        found, {"distance": [0, 1 / 9, 1 / 3], "received": [1 / 7 + 1 / 9 + 1 / 12, 7 / 18, 1 / 4]}
    )
    np.testing.assert_allclose(found.every.entropy, plain.every.entropy, atol=1e-12)


def test_padding_is_no_row() -> None:
    found = naive(by_hand(start=torch.tensor([2])), ALL, NORMS)
    expected = {
        "row_sum": [0, 0, 1],
        "argmax": [-1, -1, 2],
        "received": [0, 0, 1],
        "lags": [1, 0, 0],
    }
    assert_numbers(found, expected)
    assert found.every.entropy[0, 0].isnan().tolist() == [True, True, False]


def matrix(dots: Dots) -> tuple[Tensor, Tensor]:
    """A and lse by flex_attention: its mask and score functions, and the identity for values."""

    rows, keys, start = dots.rows, dots.keys, dots.start

    def seen(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        row, key = rows[i], keys[j]
        near = row - key < (dots.window or 10**6)
        pad = start[b] if start is not None else 0
        return (key <= row) & (near | (key < dots.sinks)) & (key >= pad)

    def score(s: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        if dots.softcap:
            s = dots.softcap * torch.tanh(s / dots.softcap)
        if dots.query_bias is not None:
            s = s + (dots.query_bias[b, h, i] + dots.key_bias[b, h, j])
        return torch.where(seen(b, h, i, j), s, -torch.inf)

    b, h, t, _ = dots.q.shape
    s = dots.k.shape[2]
    k = repeat_groups(dots.k.double(), h)
    eye = torch.eye(s, dtype=torch.float64).expand(b, h, s, s)
    a, lse = flex_attention(dots.q.double(), k, eye, score, scale=dots.scale, return_lse=True)
    there = create_mask(seen, b, 1, t, s, device="cpu").any(-1)
    assert torch.equal(there.squeeze(1), dots.visible().any(-1).expand(b, 1, t).squeeze(1))
    return torch.where(there[..., None], a, 0), lse


def by_loops(a: np.ndarray, rows: list[int], keys: list[int], side: int) -> dict[str, np.ndarray]:
    """Statistics of one [T, S] matrix, entry by entry."""
    received, lags = np.zeros(len(keys)), np.zeros(rows[-1] + 1)
    blocks = np.zeros((rows[-1] // side + 1, keys[-1] // side + 1))
    peaks, distance = blocks.copy(), np.zeros(len(rows))
    for i, row in enumerate(rows):
        for j, key in enumerate(keys):
            if key > row:
                continue
            received[j] += a[i, j]
            lags[row - key] += a[i, j]
            blocks[row // side, key // side] += a[i, j]
            peaks[row // side, key // side] = max(peaks[row // side, key // side], a[i, j])
            distance[i] += a[i, j] * (row - key)
    return {
        "received": received,
        "lags": lags,
        "block_sum": blocks,
        "block_peak": peaks,
        "distance": distance,
    }


FLEX = ["line bias", "window and sinks", "softcap", "gate bias", "padding and window"]


@pytest.mark.parametrize("name", [*FLEX, "some keys, some rows"])
def test_matrix_and_sums_against_flex_attention(name: str) -> None:
    case = CASES[name]
    dots, norms = case.build()
    found = naive(dots, everything(dots, case.apart, case.block), norms)
    a, lse = matrix(dots)
    close = dict(rtol=1e-9, atol=1e-13)
    seen = a.sum(-1) > 0
    torch.testing.assert_close(found.row_sum, seen.double(), **close)
    torch.testing.assert_close(found.lse[seen], lse.double()[seen], rtol=1e-6, atol=1e-6)
    entropy = torch.distributions.Categorical(probs=a[seen]).entropy()
    torch.testing.assert_close(found.every.entropy[seen], entropy, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        found.every.square, torch.linalg.vector_norm(a, dim=-1) ** 2, **close
    )
    rest = a[..., dots.keys >= case.apart]
    torch.testing.assert_close(found.rest.mass, rest.sum(-1), **close)
    torch.testing.assert_close(found.rest.log, -torch.special.entr(rest).sum(-1), **close)
    torch.testing.assert_close(found.valued, (a @ norms.double()[..., None])[..., 0], **close)
    at = len(a) - 1
    loops = by_loops(a[at, -1].numpy(), dots.rows.tolist(), dots.keys.tolist(), case.block)
    for field, numbers in loops.items():
        np.testing.assert_allclose(getattr(found, field)[at, -1], numbers, **close, err_msg=field)


@pytest.mark.parametrize("name", ["sink logit", "sink logit, spread of 30"])
def test_sink_logits_against_gpt_oss(name: str) -> None:
    """Its sinks are one number per head; ours may differ row by row, and here do not."""
    dots, norms = CASES[name].build()
    k = repeat_groups(dots.k, dots.q.shape[1]).double()
    sinks = dots.sink[0, :, 0]
    ours = naive(
        Dots(
            q=dots.q, k=dots.k, scale=dots.scale, sink=sinks[None, :, None].expand(dots.sink.shape)
        ),
        Wanted(columns=tuple(range(k.shape[2]))),
    )
    mask = torch.where(dots.visible(), 0.0, -torch.inf).double()
    module = SimpleNamespace(sinks=sinks.double(), num_key_value_groups=1, training=False)
    _, a = eager_attention_forward(module, dots.q.double(), k, k, mask, dots.scale)
    torch.testing.assert_close(ours.columns, a, rtol=1e-10, atol=1e-14)


def test_a_softcap_bounds_ratios_of_weights() -> None:
    """A cap of 2 on logits that would reach 4: no weight can be e⁴ times another."""
    dots, norms = Case(softcap=2.0, deviation=30.0, t=40).build()
    found = naive(dots, Wanted(columns=tuple(range(40))))
    last = found.columns[:, :, -1]
    assert (last.amax(-1) / last.amin(-1) <= math.exp(4) * (1 + 1e-9)).all()
    assert (last.amax(-1) / last.amin(-1) >= math.exp(3.9)).all()


def test_means_per_head_leave_rows_without_keys_out() -> None:
    means = naive(by_hand(start=torch.tensor([1])), ALL, NORMS).per_head()
    last = 3 / 5 * math.log(5 / 3) + 2 / 5 * math.log(5 / 2)
    assert means["row_sum"].item() == 1
    assert means["entropy"].item() == pytest.approx((0 + last) / 2)
    assert means["n_eff"].item() == pytest.approx((1 + 25 / 13) / 2)
    assert means["S"].item() == pytest.approx((1 + math.sqrt(25 / 26)) / 2)
    assert means["distance"].item() == pytest.approx((0 + 2 / 5) / 2)
    assert means["columns[1]"].item() == pytest.approx(3 / 5 / 2)
    assert means["valued"].item() == pytest.approx((10 + 64) / 2)


def test_what_keys_receive_weighted_by_what_they_write() -> None:
    """By hand: rows (1), (1/4, 3/4); norms 2 and 8."""
    dots = Dots(
        q=torch.tensor([[[[1.0], [1.0]]]]), k=torch.tensor([[[[0.0], [math.log(3)]]]]), scale=1.0
    )
    found = naive(dots, Wanted(received=True))
    weighted = found.received_valued(torch.tensor([[[2.0, 8.0]]]))
    torch.testing.assert_close(weighted, torch.tensor([[[2.5, 6.0]]]).double())
