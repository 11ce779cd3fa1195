"""Rotary positions against transformers' two pairings, and the property they exist for."""

import math

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

from models.positions import SCHEMES, rotate, scheme
from models.transformer import TransformerConfig


@pytest.mark.parametrize("base", [10000.0, 500000.0])
@pytest.mark.parametrize("width", [2, 6, 64])
def test_halves_pairing_is_llamas(width: int, base: float) -> None:
    config = LlamaConfig(
        hidden_size=width,
        num_attention_heads=1,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    x, where = torch.randn(2, 3, 9, width), torch.arange(5, 14)
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(x, where[None])
    q, k = modeling_llama.apply_rotary_pos_emb(x, 2 * x, cos, sin)
    torch.testing.assert_close(rotate(x, where, base), q)
    torch.testing.assert_close(rotate(2 * x, where, base), k)
    assert not torch.allclose(q, x, atol=1e-2)


@pytest.mark.parametrize("width", [2, 6, 64])
def test_interleaved_pairing_is_gptjs(width: int) -> None:
    x = torch.randn(2, 3, 9, width)
    table = modeling_gptj.create_sinusoidal_positions(20, width)[None, 4:13]
    sin, cos = table.chunk(2, -1)
    theirs = modeling_gptj.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2)
    ours = rotate(x, torch.arange(4, 13), 10000.0, interleaved=True)
    torch.testing.assert_close(ours, theirs)


def test_the_pairings_are_one_rotation_with_columns_reordered() -> None:
    x, where = torch.randn(1, 2, 7, 8).double(), torch.arange(7)
    to_halves = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    a = rotate(x, where, 10000.0, interleaved=True)[..., to_halves]
    b = rotate(x[..., to_halves], where, 10000.0)
    torch.testing.assert_close(a, b)
    assert not torch.allclose(rotate(x, where, 10000.0), rotate(x, where, 10000.0, True))


def at(x: Tensor, position: int) -> Tensor:
    """One vector, turned to a position."""
    return rotate(x[None, None, None], torch.tensor([position]), 10000.0)[0, 0, 0]


@pytest.mark.parametrize("shift", [1, 17, 8000])
def test_only_the_distance_between_query_and_key_counts(shift: int) -> None:
    q, k = torch.randn(2, 16).double()
    near, far = at(q, 9) @ at(k, 4), at(q, 9 + shift) @ at(k, 4 + shift)
    torch.testing.assert_close(near, far, rtol=1e-9, atol=1e-9)
    assert (at(q, 10) @ at(k, 4) - near).abs() > 1e-3


def test_turning_keeps_lengths_and_position_zero() -> None:
    x = torch.randn(1, 1, 50, 10).double()
    turned = rotate(x, torch.arange(50), 100.0)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    assert (turned[:, :, 1:] - x[:, :, 1:]).abs().max() > 0.5


def test_far_positions_are_exact_in_float32() -> None:
    """At position 100003 and frequency 2^-½ a float32 angle would be off by up to 4e-3 radians."""
    angle = 100003 / math.sqrt(2)
    x = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])  # the second of two pairs (i, i + 2)
    turned = rotate(x, torch.tensor([100003]), base=2.0).flatten()
    expected = torch.tensor([0.0, math.cos(angle), 0.0, math.sin(angle)])
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("width", [1, 5])
def test_an_odd_width_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"even head width, got d_head={width}"):
        rotate(torch.zeros(1, 1, 3, width), torch.arange(3), 10000.0)
    with pytest.raises(ValueError, match=f"even head width, got {width} "):
        TransformerConfig(d_model=2 * width, n_heads=2, n_kv_heads=2)
    TransformerConfig(d_model=2 * width, n_heads=2, n_kv_heads=2, positions="none")


def test_an_unknown_scheme_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="'alibi'.*rotary, learned, none"):
        scheme("alibi")
    with pytest.raises(ValueError, match="'sinusoid'"):
        TransformerConfig(positions="sinusoid")
    assert [scheme(name) for name in SCHEMES] == list(SCHEMES.values())
