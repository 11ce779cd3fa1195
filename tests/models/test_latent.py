"""Latent and shared keys: DeepSeek's own layers with rotation, absorption, published sizes."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import StableLmConfig
from transformers.models.stablelm.modeling_stablelm import StableLmAttention

from models.attention.contract import HeadConfig, Mixer, Projected
from models.attention.kv_shared_s1 import KVSharedS1
from models.attention.kv_shared_s2 import KVSharedS2
from models.attention.kv_shared_s3 import KVSharedS3
from models.attention.mfa import MFA
from models.attention.mla import MLA, rope_share
from models.attention.partial_rope import PartialRope
from models.attention.softmax import Softmax
from models.attention.tpa import TPA
from models.convert import to_kv_shared
from models.positions import rotate
from tests.models.references import latent as theirs

BASE = 10000.0


def turn(x: Tensor, where: Tensor) -> Tensor:
    """Llama's pairs."""
    return rotate(x, where, BASE)


def turn_neighbours(x: Tensor, where: Tensor) -> Tensor:
    """GPT-J's pairs, as DeepSeek-V2 has them."""
    return rotate(x, where, BASE, interleaved=True)


def heads(n_kv_heads: int = 4, n_heads: int = 4, width: int = 8) -> HeadConfig:
    return HeadConfig(d_model=n_heads * width, n_heads=n_heads, n_kv_heads=n_kv_heads)


def made(kind: type[Mixer], config: HeadConfig, **widths: int) -> Mixer:
    """In float64, with gains off 1."""
    mixer = kind(config, **widths).double()
    for parameter in mixer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return mixer


def residual(mixer: Mixer, length: int = 21) -> Tensor:
    return torch.randn(2, length, mixer.config.d_model, dtype=torch.float64)


def placed(mixer: Mixer, x: Tensor, by: Callable = turn, first: int = 0) -> Projected:
    return mixer.place(mixer.project(x), torch.arange(first, first + x.shape[1]), by)


def layer(mixer: Mixer, x: Tensor, by: Callable = turn, first: int = 0) -> Tensor:
    p = placed(mixer, x, by, first)
    return mixer.merge(mixer.readout(mixer.mix(p), p))


def angles(length: int, width: int) -> Tensor:
    """Radians [T, width / 2]."""
    speed = BASE ** (-torch.arange(0, width, 2).double() / width)
    return torch.arange(length).double()[:, None] * speed


def spin(width: int) -> Callable[[Tensor, int], Tensor]:
    """The last `width` dimensions as complex numbers, turned by a place."""

    def place(x: Tensor, i: int) -> Tensor:
        still, a, b = x.split([x.shape[-1] - width, width // 2, width // 2], -1)
        z = torch.complex(a, b) * torch.exp(1j * i * angles(2, width)[1])
        return torch.cat([still, z.real, z.imag], -1)

    return place


def run(attention: nn.Module, weights: dict, x: Tensor, turned: object) -> tuple[Tensor, Tensor]:
    """Output and matrix of one of transformers' attention layers with our weights."""
    mask = theirs.causal(x.shape[1], x)
    args = dict(hidden_states=x, position_embeddings=turned, attention_mask=mask)
    return torch.func.functional_call(attention, weights, (), args)[:2]


@pytest.mark.parametrize("d_query_latent", [None, 12])
@pytest.mark.parametrize("version", ["2", "3", "3 with neighbours"])
def test_mla_is_deepseeks_layer_with_rotation(version: str, d_query_latent: int | None) -> None:
    """Output and matrix of a whole layer; theirs takes softmax, norms and V2's turns to float32."""
    mixer = made(MLA, heads(), d_query_latent=d_query_latent, d_value=5)
    x, neighbours = residual(mixer), version != "3"
    made_layer, weights = theirs.deepseek(mixer, int(version[0]), neighbours)
    angle = angles(x.shape[1], mixer.d_rope)
    both = angle.repeat(1, 2)[None]
    turned = (both.cos(), both.sin())
    if version == "2":
        turned = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)[None]
    out, pattern = run(made_layer, weights, x, turned)
    by = turn_neighbours if neighbours else turn
    torch.testing.assert_close(layer(mixer, x, by), out, rtol=1e-5, atol=2e-6)
    mine = mixer.pattern(placed(mixer, x, by))
    torch.testing.assert_close(mine, pattern, rtol=1e-5, atol=2e-6)
    still = mixer.pattern(placed(mixer, x, lambda x, where: x))
    assert (mine - still).abs().max() > 1e-2, "the rotation must matter"


def test_mla_is_one_wide_shared_head_once_absorbed() -> None:
    """q W_UKᵀ against the normalised latent, which is the value too; the same matrix per head."""
    mixer = made(MLA, heads())
    x = residual(mixer)
    p = placed(mixer, x)
    c, turned = p.extra["kv_latent"], p.extra["rope_key"]
    q = torch.cat([p.q[..., : mixer.d_key] @ mixer.W_UK.mT, p.q[..., mixer.d_key :]], -1)
    k = torch.cat([c, turned], -1)
    scale = (mixer.d_key + mixer.d_rope) ** -0.5
    wide = F.scaled_dot_product_attention(
        q, k, F.pad(c, (0, mixer.d_rope)), is_causal=True, enable_gqa=True, scale=scale
    )
    torch.testing.assert_close(mixer.mix(p), wide[..., : mixer.d_latent] @ mixer.W_UV)
    torch.testing.assert_close(mixer.scores(p).tril(), ((q @ k.mT) * scale).tril())
    longer = mixer.project(7 * x).extra["kv_latent"]  # normalised, so that W_UK can be absorbed
    torch.testing.assert_close(longer, c, rtol=1e-4, atol=1e-4)


def test_logits_split_into_content_and_position() -> None:
    """Positions enter one part alone, and there by distances."""
    mixer = made(MLA, heads())
    x = residual(mixer)
    p = placed(mixer, x)
    nope, rope = mixer.logit_parts(p)
    torch.testing.assert_close((nope + rope).tril(), mixer.scores(p).tril())
    far = mixer.logit_parts(placed(mixer, x, first=900))
    torch.testing.assert_close(far, (nope, rope))
    doubled = mixer.logit_parts(placed(mixer, x, lambda x, where: turn(x, 2 * where)))
    torch.testing.assert_close(doubled[0], nope)
    assert (doubled[1] - rope).abs().max() > 1e-2


def test_rope_share_worked_by_hand() -> None:
    """Row 1 varies by 1 in one part and by 3 in the other: shares 1/2 and 9/2 of 5."""
    nope = torch.tensor([[0.0, 9.0], [1.0, 0.0]])[None, None]  # the 9 is in the future
    rope = torch.tensor([[5.0, 0.0], [10.0, 13.0]])[None, None]
    torch.testing.assert_close(rope_share(nope, rope), torch.tensor([0.9]))
    torch.testing.assert_close(rope_share(nope + 4, rope), torch.tensor([0.9]))
    torch.testing.assert_close(rope_share(rope, nope), torch.tensor([0.1]))


SHARED = [
    (KVSharedS1, theirs.s1),
    (KVSharedS2, theirs.s2),
    (KVSharedS3, theirs.s3),
    (MFA, theirs.mfa),
]
FORMULAS = [(kind, formula, n) for kind, formula in SHARED for n in (4, 2, 1)]


@pytest.mark.parametrize(("kind", "formula", "n_kv_heads"), [*FORMULAS, (TPA, theirs.tpa, 4)])
def test_formulas_token_by_token_with_rotation(
    kind: type[Mixer], formula: Callable, n_kv_heads: int
) -> None:
    mixer = made(kind, heads(n_kv_heads))
    x = residual(mixer, 9)
    width = getattr(mixer, "d_rope", mixer.project(x).q.shape[-1])
    expected = formula(mixer, x, spin(width))
    assert (expected - formula(mixer, x)).abs().max() > 1e-2, "the rotation must matter"
    torch.testing.assert_close(layer(mixer, x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
def test_partial_rope_is_stablelms(n_kv_heads: int) -> None:
    """transformers turns the first quarter of a head, we the last: dimensions are relabelled."""
    mixer = made(PartialRope, heads(n_kv_heads, width=16))
    c, d = mixer.config, mixer.d_rope
    config = StableLmConfig(
        hidden_size=c.d_model,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_kv_heads,
        rope_parameters={"rope_type": "default", "rope_theta": BASE, "partial_rotary_factor": 0.25},
    )
    config._attn_implementation = "eager"
    attention, w = StableLmAttention(config, 0), mixer.heads
    weights = {
        "q_proj.weight": theirs.flat(w.W_Q.roll(d, -1)),
        "k_proj.weight": theirs.flat(w.W_K.roll(d, -1)),
        "v_proj.weight": theirs.flat(w.W_V),
        "o_proj.weight": w.W_O.flatten(0, 1).T,
    }
    x = residual(mixer)
    both = angles(x.shape[1], d).repeat(1, 2)[None]
    out, pattern = run(attention, weights, x, (both.cos(), both.sin()))
    torch.testing.assert_close(layer(mixer, x), out, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(mixer.pattern(placed(mixer, x)), pattern, rtol=1e-5, atol=2e-6)


def test_vo_rope_sees_only_distances() -> None:
    """What is read moves with the tokens' places; what is written after turning back does not."""
    mixer = made(KVSharedS2, heads(2))
    x = residual(mixer)
    torch.testing.assert_close(layer(mixer, x), layer(mixer, x, first=500), rtol=1e-9, atol=1e-11)
    here, far = (mixer.mix(placed(mixer, x, first=first)) for first in (0, 500))
    assert (here - far).abs().max() > 1e-2
    one = x[:, :1]  # YaRN also makes what it turns longer
    torch.testing.assert_close(layer(mixer, one, lambda *a: 1.3 * turn(*a)), layer(mixer, one))


def test_vo_rope_worked_by_hand() -> None:
    """One pair at π/2 a token: what token 1 reads of token 0 is turned back a quarter."""
    mixer = made(KVSharedS2, heads(1, 1, 3), d_nope=1, d_rope=2)

    def quarter(x: Tensor, where: Tensor) -> Tensor:
        a, b = x.unbind(-1)
        cos, sin = (where % 2 == 0).double(), (where % 2).double()  # places 0 and 1 only
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1)

    k = torch.tensor([[7.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).double()[None, None]
    p = mixer.place(Projected(0 * k, k, k), torch.arange(2), quarter)
    z = mixer.readout(mixer.mix(p), p)[0, 0]
    expected = torch.tensor([[7.0, 1.0, 0.0], [3.5, 0.0, -0.5]]).double()  # row 1 is a mean
    torch.testing.assert_close(z, expected)


@pytest.mark.parametrize("rank", [2, 3])
def test_tpa_keys_and_values_have_low_rank_over_the_heads(rank: int) -> None:
    mixer = made(TPA, heads(), rank=rank)
    p = placed(mixer, residual(mixer))
    assert (torch.linalg.matrix_rank(torch.stack([p.k, p.v]).transpose(2, 3)) == rank).all()


def test_tpa_with_constant_mixes_is_grouped_attention() -> None:
    """Two groups: each head takes one basis row, by way of a dimension of x that is always 1."""
    mixer, grouped = made(TPA, heads()), made(Softmax, heads(2))
    x = residual(mixer)
    x[..., -1] = 1
    for mixes in (mixer.A_K, mixer.A_V):
        mixes.data.zero_()
        for h in range(4):
            mixes.data[h, -1, h // 2] = 2  # the mean over two rows halves it
    mixer.B_K.data, mixer.B_V.data = grouped.heads.W_K.data, grouped.heads.W_V.data
    mixer.heads.W_Q.data, mixer.heads.W_O.data = grouped.heads.W_Q.data, grouped.heads.W_O.data
    torch.testing.assert_close(layer(mixer, x), layer(grouped, x))


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
def test_grouped_attention_is_a_shared_head_as_wide_as_its_cache(n_kv_heads: int) -> None:
    """Kexue 11111: any GQA without positions is a KV-shared MQA with head_dim G (d_k + d_v)."""
    grouped = made(Softmax, heads(n_kv_heads, width=5))
    shared = to_kv_shared(grouped)
    x = residual(grouped)
    p, q = (placed(m, x, lambda x, where: x) for m in (grouped, shared))
    assert q.k.shape == q.v.shape == (2, 1, 21, n_kv_heads * 10)
    assert shared.cost.cache(77) == grouped.cost.cache(77)
    torch.testing.assert_close(shared.pattern(q), grouped.pattern(p), rtol=0, atol=1e-12)
    ours, old = (m.merge(m.mix(y)) for m, y in ((shared, q), (grouped, p)))
    torch.testing.assert_close(ours, old, rtol=0, atol=1e-12)


def meta(kind: type[Mixer], config: HeadConfig, **widths: int) -> Mixer:
    with torch.device("meta"):
        return kind(config, **widths)


# Kexue 10907: 12 layers, d = 2048, 16 heads; millions of parameters, numbers cached per token.
TABLE = [
    (MLA, 16, dict(d_key=128, d_value=128, d_latent=512, d_rope=64), 894, 576),
    (MLA, 16, dict(d_key=192, d_value=256, d_latent=512, d_rope=64), 989, 576),
    (Softmax, 2, {}, 842, 512),
    (KVSharedS1, 2, dict(d_shared=192, d_rope=64), 946, 640),
    (KVSharedS2, 2, dict(d_nope=192, d_rope=64), 943, 512),
    (KVSharedS2, 4, dict(d_nope=64, d_rope=64), 842, 512),
    (KVSharedS2, 4, dict(d_nope=128, d_rope=64), 899, 768),
    (KVSharedS3, 1, dict(d_latent=512, d_rope=64), 1171, 576),
]


@pytest.mark.parametrize(("kind", "groups", "widths", "millions", "cached"), TABLE)
def test_published_sizes_of_the_ablation(
    kind: type[Mixer], groups: int, widths: dict[str, int], millions: int, cached: int
) -> None:
    """Against MHA-128's 931M, as embeddings and MLPs are the same; both figures are rounded."""
    mixer = meta(kind, heads(groups, 16, 128), **widths)
    assert mixer.cost.cache(1) == cached
    mha = meta(Softmax, heads(16, 16, 128)).cost.parameters
    assert abs(931 + 12 * (mixer.cost.parameters - mha) / 1e6 - millions) <= 1.1


def test_published_caches_of_deepseek_v2() -> None:
    """Table 9 of the paper, in thousands of numbers per token; bytes of one layer in bfloat16."""
    large = meta(
        MLA, heads(128, 128, 40), d_key=128, d_value=128, d_rope=64, d_latent=512,
        d_query_latent=1536,
    )  # fmt: skip
    assert large.cost.cache(1) == 576 and round(60 * large.cost.cache(1) / 1e3, 1) == 34.6
    small = meta(MLA, heads(16, 16, 128))  # the defaults are V2's proportions
    assert (small.d_key, small.d_rope, small.d_latent) == (128, 64, 512)
    assert round(27 * small.cost.cache(1) / 1e3, 1) == 15.6
    assert round(27 * meta(Softmax, heads(16, 16, 128)).cost.cache(1) / 1e3, 1) == 110.6
    assert 2 * large.cost.cache(1) == 1152
    assert 2 * meta(Softmax, heads(128, 128, 128)).cost.cache(1) == 65536
