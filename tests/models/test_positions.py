"""Positions against transformers: both pairings, and what reaches past the trained length."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

from models.attention.contract import Projected, Turn
from models.attention.softmax import Softmax
from models.positions import SCHEMES, Rope, rotate, scheme
from models.registry import VARIANTS
from models.transformer import Transformer, TransformerConfig

Build = Callable[..., Transformer]


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
    with pytest.raises(ValueError, match="'alibi'.*rotary, .*learned, none, pi"):
        scheme("alibi")
    with pytest.raises(ValueError, match="'sinusoid'"):
        TransformerConfig(positions="sinusoid")
    assert [scheme(name) for name in SCHEMES] == list(SCHEMES.values())


def test_the_two_pairings_are_schemes() -> None:
    x, where = torch.randn(1, 2, 7, 8), torch.arange(3, 10)
    for name, interleaved in (("rotary", False), ("rotary-interleaved", True)):
        turned = scheme(name).turn(x, where, Rope(base=500.0))
        assert torch.equal(turned, rotate(x, where, 500.0, interleaved))
    for name in ("learned", "none"):
        assert scheme(name).turn(x, where, Rope()) is x


def theirs(kind: str, d: int, rope: Rope, length: int | None = None) -> tuple[Tensor, float]:
    """Frequencies and the factor on cos and sin, by transformers."""
    trained = rope.trained or 2048
    config = LlamaConfig(
        hidden_size=d,
        num_attention_heads=1,
        max_position_embeddings=trained,
        rope_parameters={
            "rope_type": kind,
            "rope_theta": rope.base,
            "factor": rope.factor,
            "original_max_position_embeddings": trained,
        },
    )
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=length)


def frequencies(name: str, d: int, rope: Rope, length: int = 1) -> Tensor:
    """Ours, for a sequence of that length."""
    return scheme(name).frequencies(d, rope, torch.arange(length))


ROPES = [
    Rope(base=base, factor=factor, trained=trained)
    for base in (100.0, 10000.0, 500000.0)
    for factor in (1.0, 1.5, 8.0)
    for trained in (16, 512, 4096)
]


@pytest.mark.parametrize("rope", ROPES, ids=str)
@pytest.mark.parametrize("d", [4, 6, 64, 128])
@pytest.mark.parametrize(("name", "kind"), [("pi", "linear"), ("yarn", "yarn")])
def test_pi_and_yarn_are_transformers(name: str, kind: str, d: int, rope: Rope) -> None:
    expected, factor = theirs(kind, d, rope)
    torch.testing.assert_close(frequencies(name, d, rope).float(), expected, rtol=3e-6, atol=0)
    assert scheme(name).scale(rope) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("rope", ROPES, ids=str)
@pytest.mark.parametrize("d", [4, 6, 64, 128])
@pytest.mark.parametrize("length", [7, 513, 9000])
def test_dynamic_ntk_is_transformers(length: int, d: int, rope: Rope) -> None:
    expected, factor = theirs("dynamic", d, rope, length)
    ours = frequencies("dynamic-ntk", d, rope, length)
    torch.testing.assert_close(ours.float(), expected, rtol=3e-6, atol=0)
    assert scheme("dynamic-ntk").scale(rope) == factor == 1
    assert torch.equal(ours, frequencies("rotary", d, rope)) is (length <= rope.trained)


@pytest.mark.parametrize("d", [4, 6, 64])
@pytest.mark.parametrize("factor", [1.5, 8.0])
def test_fixed_ntk_is_dynamic_ntk_at_the_length_it_is_meant_for(d: int, factor: float) -> None:
    rope = Rope(factor=factor, trained=64)
    expected, _ = theirs("dynamic", d, Rope(factor=1.0, trained=64), int(factor * 64))
    ours = frequencies("ntk", d, rope)
    torch.testing.assert_close(ours.float(), expected, rtol=3e-6, atol=0)
    plain = frequencies("rotary", d, rope)
    assert ours[0] == plain[0] == 1
    torch.testing.assert_close(ours[-1], frequencies("pi", d, rope)[-1])


def test_yarn_by_hand() -> None:
    """d = 8, base 10000: pairs of 1, 0.1, 0.01, 0.001 radians make 102, 10, 1.02, 0.1 turns in 640.

    The pair that makes 32 turns would be 0.50, the one that makes 1 would be 2.01: the ramp runs
    from pair 0 to pair 3 by thirds.
    """
    share = torch.tensor([0, 1 / 3, 2 / 3, 1]).double()
    expected = torch.tensor([1, 0.1, 0.01, 0.001]).double() * (1 - share + share / 4)
    ours = frequencies("yarn", 8, Rope(factor=4.0, trained=640))
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=0)
    x, where = torch.randn(1, 1, 5, 8).double(), torch.arange(5)
    turned = scheme("yarn").turn(x, where, Rope(factor=4.0, trained=640))
    growth = (turned.norm(dim=-1) / x.norm(dim=-1)).square()
    torch.testing.assert_close(growth, torch.full_like(growth, (0.1 * math.log(4) + 1) ** 2))


def test_yarns_code_and_yarns_formula_differ_by_59_percent() -> None:
    theta = frequencies("rotary", 64, Rope())
    kept = ((theta * 2048 / (2 * math.pi) - 1) / 31).clamp(0, 1)
    formula = (kept + (1 - kept) / 8) * theta
    slower = 1 - formula / frequencies("yarn", 64, Rope(factor=8.0, trained=2048))
    assert slower.max() == pytest.approx(0.59, abs=0.005)


def test_dynamic_ntk_turns_a_prefix_otherwise_in_a_longer_sequence() -> None:
    """What its docstring warns of: keys cached early are not the keys of a longer sequence."""
    x, rope = torch.randn(1, 1, 12, 8), Rope(trained=6)
    turn = scheme("dynamic-ntk").turn
    short, long = turn(x[:, :, :6], torch.arange(6), rope), turn(x, torch.arange(12), rope)
    assert torch.equal(short, rotate(x[:, :, :6], torch.arange(6), 10000.0))
    assert (long[:, :, 1:6] - short[:, :, 1:]).abs().max() > 1e-3
    token = turn(x[:, :, 11:], torch.tensor([11]), rope)
    assert torch.equal(token, long[:, :, 11:])


class Earlier(Softmax):
    """Softmax whose tokens all stand five places earlier, which changes no distance."""

    def place(self, p: Projected, where: Tensor, turn: Turn) -> Projected:
        return super().place(p, where - 5, turn)


@pytest.mark.parametrize("name", ["pi", "ntk", "dynamic-ntk", "yarn"])
def test_variants_may_move_tokens(
    name: str, build: Build, tokens: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stretch comes from the tokens read, not from the places a variant turns them to."""
    monkeypatch.setitem(VARIANTS, "earlier", replace(VARIANTS["softmax"], mixer=Earlier))
    fields = dict(positions=name, rope_factor=4.0, rope_trained=3)
    expected = build(**fields)(tokens)
    torch.testing.assert_close(build(variant="earlier", **fields)(tokens), expected)


@pytest.mark.parametrize("name", ["pi", "ntk", "dynamic-ntk", "yarn"])
def test_a_model_reads_the_factor(name: str, build: Build, tokens: Tensor) -> None:
    def logits(factor: float, **more: str | float | int) -> Tensor:
        return build(**{"positions": name, "rope_factor": factor, "rope_trained": 7} | more)(tokens)

    plain = logits(1.0, positions="rotary")
    assert (logits(8.0) - plain).abs().max() > 1e-4
    if name != "dynamic-ntk":  # which stretches beyond its 7 trained tokens at any factor
        assert torch.equal(logits(1.0), plain)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(rope_factor=0.5), "factor must be finite and at least 1, got 0.5"),
        (dict(rope_factor=math.inf, positions="pi"), "at least 1, got inf"),
        (dict(rope_base=1.0), "base must be finite and above 1, got 1.0"),
        (dict(rope_trained=0), "trained length must be at least 1 token, got 0"),
        (dict(rope_factor=2.0), "rope_factor=2.0 changes nothing under 'RoPE'.*pi, ntk, dyn"),
        (dict(rope_factor=2.0, positions="learned"), "changes nothing under 'Learned table'"),
        (dict(positions="yarn", rope_factor=2.0), "yarn positions must know the trained length"),
        (dict(positions="dynamic-ntk"), "dynamic-ntk .* set rope_trained .* got None"),
        (dict(positions="ntk", d_model=8), "a head width of 2 has no other"),
        (
            dict(positions="dynamic-ntk", d_model=8, rope_trained=9),
            "a head width of 2 has no other",
        ),
        (dict(positions="yarn", rope_trained=1), "no ramp for base 10000.0, trained length 1 "),
        (
            dict(positions="yarn", rope_trained=10**6, rope_base=2.0),
            "from pair 196 back to pair 31",
        ),
        (dict(positions="pi", d_model=20), "even head width, got 5 "),
        (dict(positions="ntk", variant="own"), "own has positions of its own.*instead of 'ntk'"),
    ],
)
def test_impossible_numbers_are_refused(
    fields: dict[str, str | int | float], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(VARIANTS["softmax"], mixer=Own)
    monkeypatch.setitem(VARIANTS, "own", own)
    with pytest.raises(ValueError, match=said):
        TransformerConfig(**fields)


class Own(Softmax):
    """A variant that has positions of its own."""

    traits = replace(Softmax.traits, rotary=False)


def test_a_config_with_positions_survives_json_values() -> None:
    config = TransformerConfig(positions="yarn", rope_factor=4.0, rope_trained=256)
    assert TransformerConfig(**json.loads(json.dumps(config.to_dict()))) == config
    assert config.rope == Rope(factor=4.0, trained=256)
