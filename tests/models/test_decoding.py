"""One token at a time, from the papers' recurrences: same output, and the cache size as stated."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected
from models.registry import variant

WIDTHS = [(12, 4, 4), (12, 4, 2), (12, 4, 1), (7, 1, 1), (18, 6, 3)]
LENGTH = 131  # past two chunks of 64


def make(name: str, widths: tuple[int, int, int], length: int) -> tuple[Mixer, Projected]:
    """A mixer in float64 with its projections of random input."""
    d_model, n_heads, n_kv_heads = widths
    mixer = (
        variant(name)
        .mixer(HeadConfig(d_model=d_model, n_heads=n_heads, n_kv_heads=n_kv_heads))
        .double()
    )
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return mixer, mixer.project(torch.randn(2, length, d_model, dtype=torch.float64))


def grow(mixer: Mixer, p: Projected, sinks: Tensor | None) -> tuple[Tensor, int]:
    """Softmax over a growing list of keys and values, with an extra logit when there is a sink."""
    share, scale = p.q.shape[1] // p.k.shape[1], p.q.shape[-1] ** -0.5
    keys, vals, out = [], [], []
    for t in range(p.q.shape[2]):
        keys.append(p.k[:, :, t])
        vals.append(p.v[:, :, t])
        rows = []
        for h in range(p.q.shape[1]):
            k, v = (torch.stack([row[:, h // share] for row in kept], 1) for kept in (keys, vals))
            weight = (torch.einsum("bd,bsd->bs", p.q[:, h, t], k) * scale).exp()
            rest = sinks[h].exp() if sinks is not None else 0
            rows.append(torch.einsum("bs,bsd->bd", weight, v) / (weight.sum(1) + rest)[:, None])
        out.append(torch.stack(rows, 1))
    kept = sum(row[0].numel() for row in keys + vals)
    return torch.stack(out, 2), kept


def recur_linear(mixer: Mixer, p: Projected) -> tuple[Tensor, int]:
    """Katharopoulos et al. 2020, section 3.4: s += φ(k) vᵀ, z += φ(k), out = φ(q) s / φ(q) z."""
    share = p.q.shape[1] // p.k.shape[1]
    phi_q, phi_k = F.elu(p.q) + 1, F.elu(p.k) + 1
    s = torch.zeros(*p.k.shape[:2], p.k.shape[-1], p.v.shape[-1], dtype=p.k.dtype)
    z = torch.zeros(*p.k.shape[:2], p.k.shape[-1], dtype=p.k.dtype)
    out = []
    for t in range(p.q.shape[2]):
        s = s + phi_k[:, :, t, :, None] * p.v[:, :, t, None, :]
        z = z + phi_k[:, :, t]
        rows = []
        for h in range(p.q.shape[1]):
            q, g = phi_q[:, h, t], h // share
            rows.append(torch.einsum("bd,bde->be", q, s[:, g]) / (q * z[:, g]).sum(-1)[:, None])
        out.append(torch.stack(rows, 1))
    return torch.stack(out, 2), s[0].numel() + z[0].numel()


def recur_delta(mixer: Mixer, p: Projected) -> tuple[Tensor, int]:
    """Schlag et al. 2021: read the old value for k, write β of what was wrong with it."""
    share, scale = p.q.shape[1] // p.k.shape[1], p.q.shape[-1] ** -0.5
    state = torch.zeros(*p.k.shape[:2], p.v.shape[-1], p.k.shape[-1], dtype=p.k.dtype)
    out = []
    for t in range(p.q.shape[2]):
        k, v, beta = p.k[:, :, t], p.v[:, :, t], p.extra["beta"][:, :, t, None]
        old = torch.einsum("bgve,bge->bgv", state, k)
        state = state + torch.einsum("bgv,bge->bgve", beta * (v - old), k)
        read = [state[:, h // share] @ p.q[:, h, t, :, None] for h in range(p.q.shape[1])]
        out.append(torch.stack(read, 1)[..., 0] * scale)
    return torch.stack(out, 2), state[0].numel()


DECODERS: dict[str, Callable[[Mixer, Projected], tuple[Tensor, int]]] = {
    "softmax": lambda mixer, p: grow(mixer, p, None),
    "sink_logit": lambda mixer, p: grow(mixer, p, mixer.sinks),
    "linear": recur_linear,
    "delta": recur_delta,
}


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("name", DECODERS)
def test_a_loop_written_from_the_paper_equals_mix(name: str, widths: tuple[int, int, int]) -> None:
    mixer, p = make(name, widths, LENGTH)
    out, _ = DECODERS[name](mixer, p)
    assert out.std() > 1e-3
    torch.testing.assert_close(mixer.mix(p), out, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("name", DECODERS)
def test_cache_counts_what_that_loop_kept(
    name: str, widths: tuple[int, int, int], length: int
) -> None:
    mixer, p = make(name, widths, length)
    _, kept = DECODERS[name](mixer, p)
    assert mixer.cost.cache(length) == kept


def test_cache_of_known_models() -> None:
    """Llama-3 8B keeps 2·8·128 numbers a token and layer; a 128-wide linear head 128·129 in all."""
    llama = HeadConfig(d_model=4096, n_heads=32, n_kv_heads=8)
    with torch.device("meta"):
        assert variant("softmax").mixer(llama).cost.cache(8192) == 8192 * 2048
        one = HeadConfig(d_model=128, n_heads=1, n_kv_heads=1)
        assert variant("linear").mixer(one).cost.cache(10**6) == 16512
        assert variant("delta").mixer(one).cost.cache(10**6) == 16384


ALONE: dict[str, Callable[[Mixer, Projected, Tensor], Tensor]] = {
    "softmax": lambda mixer, p, dot: torch.ones_like(dot),
    "sink_logit": lambda mixer, p, dot: (dot - mixer.sinks[:, None]).sigmoid(),
    "linear": lambda mixer, p, dot: torch.ones_like(dot),
    "delta": lambda mixer, p, dot: dot * p.extra["beta"].repeat_interleave(2, 1),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_lone_token_has_a_closed_form(name: str) -> None:
    """T = 1, two query heads to a key head: the matrix is one number that a hand can work out."""
    mixer, p = make(name, (12, 4, 2), 1)
    dot = (p.q * p.k.repeat_interleave(2, 1)).sum(-1) / 3**0.5
    expected = ALONE[name](mixer, p, dot)
    torch.testing.assert_close(mixer.pattern(p)[..., 0], expected)
    lone = expected[..., None] * p.v.repeat_interleave(2, 1)
    torch.testing.assert_close(mixer.mix(p), lone)


def test_a_rewritten_key_is_forgotten() -> None:
    """Delta rule with β = 1: the second write to a key replaces the first, worked by hand."""
    mixer, _ = make("delta", (2, 1, 1), 1)
    key = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).double()[None, None]
    p = Projected(key, key, torch.randn_like(key), {"beta": torch.ones(1, 1, 3).double()})
    expected = torch.eye(3).double() / 2**0.5  # row 2 reads its own write and nothing of row 0's
    torch.testing.assert_close(mixer.pattern(p)[0, 0], expected)


def test_two_linear_rows_worked_by_hand() -> None:
    """φ(1) = 2 and φ(-ln 2) = ½, so row 1 weighs its keys 2·2 : 2·½ = 4 : 1."""
    mixer, _ = make("linear", (1, 1, 1), 1)
    q = torch.tensor([[0.0], [1.0]]).double()[None, None]
    k = torch.tensor([[1.0], [-0.6931471805599453]]).double()[None, None]
    expected = torch.tensor([[1.0, 0.0], [0.8, 0.2]]).double()
    torch.testing.assert_close(mixer.pattern(Projected(q, k, q))[0, 0], expected)
