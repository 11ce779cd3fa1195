"""FoX, PaTH and DeltaFormer: worked examples, and what they become at the edges."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from fla.ops.deltaformer.naive import naive_deltaformer_attn
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected
from models.attention.delta import Delta
from models.attention.deltaformer import DeltaFormer
from models.attention.fox import Fox
from models.attention.path import Path
from models.kernels.feedback import strict_softmax
from tests.models.references import each, repeated, sequence_first

HEADS = HeadConfig(d_model=24, n_heads=4, n_kv_heads=2)


def random_inputs(kind: type[Mixer], length: int = 70) -> tuple[Mixer, Projected]:
    """A mixer with its parameters off zero, and projections of random numbers."""
    mixer = kind(HEADS).double()
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return mixer, mixer.project(torch.randn(2, length, 24, dtype=torch.float64))


def with_extra(p: Projected, **extra: Tensor) -> Projected:
    """Some extras replaced."""
    return replace(p, extra={**p.extra, **extra})


def sdpa(p: Projected) -> Tensor:
    return F.scaled_dot_product_attention(*repeated(p), is_causal=True)


def test_fox_forgets_by_halves() -> None:
    """With equal logits and f = 1/2 a key weighs half of the one after it."""
    mixer, p = random_inputs(Fox, 3)
    p = with_extra(replace(p, q=0 * p.q), log_forget=torch.full((2, 2, 3), 0.5).double().log())
    expected = torch.tensor(
        [[1, 0, 0], [1 / 3, 2 / 3, 0], [1 / 7, 2 / 7, 4 / 7]], dtype=torch.float64
    )
    torch.testing.assert_close(mixer.pattern(p), expected.expand(2, 4, 3, 3), rtol=0, atol=1e-12)
    # A token's own gate does not touch its own weight, only those of the keys before it.
    closed = p.extra["log_forget"].index_fill(2, torch.tensor([1]), -1000.0)
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1 / 3, 2 / 3]], dtype=torch.float64)
    a = mixer.pattern(with_extra(p, log_forget=closed))
    torch.testing.assert_close(a, expected.expand(2, 4, 3, 3), rtol=0, atol=1e-12)


def test_fox_with_open_gates_is_softmax_and_with_constant_ones_alibi() -> None:
    mixer, p = random_inputs(Fox)
    still = with_extra(p, log_forget=torch.zeros(2, 2, 70).double())
    torch.testing.assert_close(mixer.mix(still), sdpa(p), rtol=0, atol=1e-12)
    slope = 0.125
    steady = with_extra(p, log_forget=torch.full((2, 2, 70), -slope).double())
    q, k, v = repeated(p)
    behind = torch.arange(70)[:, None] - torch.arange(70)
    bias = (-slope * behind.double()).masked_fill(behind < 0, -torch.inf)
    alibi = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(mixer.mix(steady), alibi, rtol=0, atol=1e-12)


def test_fox_in_float32_keeps_its_digits_over_4096_tokens() -> None:
    mixer = Fox(HeadConfig(d_model=4, n_heads=1, n_kv_heads=1))
    p = mixer.project(torch.randn(1, 4096, 4))
    p = with_extra(p, log_forget=3 * p.extra["log_forget"])  # forgets fast: sums of thousands
    gates = p.extra["log_forget"]
    assert gates.sum() < -4096
    wide = Projected(p.q.double(), p.k.double(), p.v.double(), {"log_forget": gates.double()})
    with torch.no_grad():
        error = (mixer.mix(p) - mixer.mix(wide)).abs().max()
    assert error < 5e-6


def test_path_is_a_product_of_reflections() -> None:
    """Each logit by multiplying the matrices between its key and its query, one at a time."""
    mixer, p = random_inputs(Path, 20)
    q, k, _ = repeated(p)
    w, beta = each(p.extra["w"], p), each(p.extra["beta"], p)
    h = torch.eye(6).double() - beta[..., None, None] * w[..., :, None] * w[..., None, :]
    scores = mixer.scores(p)
    for j in range(20):
        key = k[:, :, j]
        for i in range(j, 20):
            if i > j:
                key = (h[:, :, i] @ key[..., None])[..., 0]
            logit = (q[:, :, i] * key).sum(-1) * 6**-0.5
            torch.testing.assert_close(scores[:, :, i, j], logit, rtol=0, atol=1e-12)


def test_path_counts_parity() -> None:
    """With β = 2 and w = (1, -1)/√2 every token swaps two coordinates: even lags match."""
    mixer = Path(HeadConfig(d_model=2, n_heads=1, n_kv_heads=1)).double()
    unit = torch.tensor([1.0, 0.0]).double().expand(1, 1, 130, 2)
    w = torch.tensor([1.0, -1.0]).double().expand(1, 1, 130, 2) / 2**0.5
    beta = 2 * torch.ones(1, 1, 130).double()
    p = Projected(unit, unit, torch.randn_like(unit), {"w": w, "beta": beta})
    lag = torch.arange(130)[:, None] - torch.arange(130)
    expected = (lag % 2 == 0).double().div(2**0.5).masked_fill(lag < 0, -torch.inf)
    torch.testing.assert_close(mixer.scores(p)[0, 0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(mixer.mix(p)[0], expected.softmax(-1) @ p.v[0], rtol=0, atol=1e-12)


def test_path_along_its_keys_is_deltanets_matrix_inside_the_softmax() -> None:
    """W = K: logits are DeltaNet's A without its last factor diag β (kexue 11033, eq. 30)."""
    path, p = random_inputs(Path)
    k = F.normalize(p.k, dim=-1)
    p = with_extra(replace(p, k=k), w=k)
    delta = Delta(HEADS).double()
    written = delta.pattern(replace(p, extra={"beta": p.extra["beta"]}))
    logits = path.scores(p)
    seen = logits.isfinite()
    expected = written / each(p.extra["beta"], p)[:, :, None]
    torch.testing.assert_close(logits[seen], expected[seen], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Path, DeltaFormer])
def test_writing_nothing_is_softmax(kind: type[Mixer]) -> None:
    mixer, p = random_inputs(kind)
    p = with_extra(p, beta=0 * p.extra["beta"])
    torch.testing.assert_close(mixer.mix(p), sdpa(p), rtol=0, atol=1e-12)


def test_deltaformer_takes_off_what_it_recalls() -> None:
    """β = 1 and equal logits: u_1 = v_1 - v_0, u_2 = v_2 - v_1/2, so o_2 = (v_1 / 2 + v_2) / 3."""
    mixer, p = random_inputs(DeltaFormer, 3)
    p = with_extra(replace(p, q=0 * p.q, k=0 * p.k), beta=torch.ones(2, 2, 3).double())
    expected = torch.tensor([[1, 0, 0], [0, 1 / 2, 0], [0, 1 / 6, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(mixer.pattern(p), expected.expand(2, 4, 3, 3), rtol=0, atol=1e-12)


def closed_form(q: Tensor, k: Tensor, beta: Tensor, asks: Tensor) -> Tensor:
    """softmax(QKᵀ) (I + diag β softmax_strict(asks Kᵀ))⁻¹ by a general inverse."""
    t, scale = q.shape[2], q.shape[-1] ** -0.5
    later = torch.ones(t, t).triu(1).bool()
    reads = (q @ k.mT * scale).masked_fill(later, -torch.inf).softmax(-1)
    recalls = torch.zeros_like(reads)  # row t is that of query t over the keys before t
    for i in range(1, t):
        recalls[:, :, i, :i] = (asks[:, :, i : i + 1] @ k[:, :, :i].mT * scale).softmax(-1)[:, :, 0]
    return reads @ torch.linalg.inv(torch.eye(t).to(q) + beta[..., None] * recalls)


def test_deltaformers_writes_compare_keys_and_flas_compare_queries() -> None:
    mixer, p = random_inputs(DeltaFormer)
    q, k, v = repeated(p)
    beta = each(p.extra["beta"], p)
    ours = closed_form(q, k, beta, asks=k)
    torch.testing.assert_close(mixer.pattern(p), ours, rtol=0, atol=1e-12)
    packaged = naive_deltaformer_attn(*sequence_first(q, k, v, beta)).transpose(1, 2)
    theirs = closed_form(q, k, beta, asks=q) @ v
    assert (packaged - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert (packaged - ours @ v).abs().max() > 0.1 * theirs.abs().max()


def test_gates_and_strengths_fill_their_ranges() -> None:
    """β of PaTH reaches past 1, where a reflection turns a direction round; DeltaFormer's does not.

    Gates of FoX never make a key weigh more.
    """
    _, fox = random_inputs(Fox, 200)
    gates = fox.extra["log_forget"].exp()
    assert 0 < gates.min() < 0.2 and 0.8 < gates.max() < 1
    _, path = random_inputs(Path, 200)
    assert 0 < path.extra["beta"].min() < 0.4 and 1.6 < path.extra["beta"].max() < 2
    torch.testing.assert_close(path.extra["w"].norm(dim=-1), torch.ones(2, 2, 200).double())
    _, former = random_inputs(DeltaFormer, 200)
    assert 0 < former.extra["beta"].min() < 0.2 and 0.8 < former.extra["beta"].max() < 1


def test_strict_softmax_reads_earlier_keys_alone() -> None:
    logits = torch.randn(1, 2, 6, 6)
    a = strict_softmax(logits)
    assert a.triu().count_nonzero() == 0
    torch.testing.assert_close(a.sum(-1), torch.tensor([0.0, 1, 1, 1, 1, 1]).expand(1, 2, 6))
    assert torch.equal(strict_softmax(logits[:, :, 4:]), a[:, :, 4:])
