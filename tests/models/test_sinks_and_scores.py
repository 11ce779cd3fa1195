"""Identities, hand-worked rows and more witnesses for the relatives of softmax."""

import math

import pytest
import torch
from fla.ops.attn.naive import naive_parallel_attn
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import LlamaConfig
from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from models.attention.alibi import Alibi, slopes
from models.attention.contract import HeadConfig, Mixer, Projected
from models.attention.differential import Differential
from models.attention.log_n import LogN
from models.attention.sigmoid import Sigmoid
from models.positions import rotate
from models.registry import variant
from tests.models.references import repeated, sequence_first
from tests.models.references.sinks_and_scores import diffllama, llama

HEADS = HeadConfig(d_model=24, n_heads=4, n_kv_heads=2)


def make(name: str) -> Mixer:
    """A mixer in float64, its parameters off zero and one."""
    mixer = variant(name).mixer(HEADS).double()
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return mixer


def placed(mixer: Mixer, x: Tensor) -> Projected:
    """Projections without rotation."""
    return mixer.place(mixer.project(x), torch.arange(x.shape[1]), lambda x, where: x)


def inputs(length: int = 40) -> Tensor:
    return torch.randn(2, length, HEADS.d_model).double()


def softmax_of(p: Projected) -> Tensor:
    """Plain softmax attention of the same queries and keys."""
    q, k, _ = repeated(p)
    hidden = torch.ones(q.shape[2], q.shape[2]).triu(1).bool()
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf).softmax(-1)


def flex(p: Projected, score_mod, scale: float | None = None) -> Tensor:
    """torch's flex_attention, causal, with edited logits."""
    t = p.q.shape[2]
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, t, t, device="cpu")
    q, k, v = (x.detach() for x in repeated(p))  # it has no backward pass on CPU
    return flex_attention(q, k, v, score_mod=score_mod, block_mask=mask, scale=scale)


def test_softmax1_is_flas_sink_of_zero() -> None:
    mixer = make("softmax1")
    p = placed(mixer, inputs())
    out, _ = naive_parallel_attn(*sequence_first(*repeated(p)), sink_bias=torch.zeros(4).double())
    torch.testing.assert_close(mixer.mix(p), out.transpose(1, 2))


def test_softmax1_lets_a_lone_key_take_what_its_logit_is_worth() -> None:
    """exp(z) / (1 + exp(z)): a half at z = 0, nothing at minus infinity."""
    mixer = make("softmax1")
    p = placed(mixer, inputs(1))
    z = mixer.scores(p)
    torch.testing.assert_close(mixer.pattern(p), z.sigmoid())
    assert (mixer.weigh(torch.full_like(z, -1e4), p) == 0).all()


@pytest.mark.parametrize("name", ["k_bias", "kv_bias", "sink_token"])
def test_a_learned_key_is_a_gate_on_softmax(name: str) -> None:
    """A = softmax(Z) · σ(lse(Z) - q·k* / √D), row by row."""
    mixer, x = make(name), inputs()
    p = placed(mixer, x)
    if name == "sink_token":
        key = torch.einsum("e,ged->gd", mixer.sink_token, mixer.heads.W_K)
    else:
        key = mixer.sink_key
    sink = (p.q * key.repeat_interleave(2, 0)[:, None]).sum(-1) / 6**0.5
    gate = (mixer.scores(p).logsumexp(-1) - sink).sigmoid()
    torch.testing.assert_close(mixer.pattern(p), softmax_of(p) * gate[..., None])


def test_the_key_bias_meets_the_query_before_it_turns() -> None:
    """However far the tokens are turned, the sink's logit stays as it was."""
    mixer = make("k_bias")
    p = mixer.project(inputs())
    far = mixer.place(p, torch.arange(500, 540), lambda x, where: rotate(x, where, 10000.0))
    assert torch.equal(far.extra["sink"], p.extra["sink"])
    assert (far.q - p.q).abs().max() > 0.1
    assert (mixer.pattern(far) - mixer.pattern(p)).abs().max() > 1e-3


def test_a_value_bias_of_zero_is_a_key_bias() -> None:
    kv, k, x = make("kv_bias"), make("k_bias"), inputs()
    kv.sink_value.data.zero_()
    k.load_state_dict({n: w for n, w in kv.state_dict().items() if n != "sink_value"})
    out, other = (m.merge(m.readout(m.mix(p), p)) for m in (kv, k) for p in [placed(m, x)])
    torch.testing.assert_close(out, other)


def test_the_sink_token_stands_one_place_before_the_first() -> None:
    """Llama over [x*; x] with rotary positions from -1 on."""
    mixer, x = make("sink_token"), inputs()
    config = LlamaConfig(hidden_size=24, num_attention_heads=4, rope_theta=10000.0)
    turned = LlamaRotaryEmbedding(config)(x, torch.arange(-1, 40)[None])
    theirs = llama(mixer, x, turned)
    p = mixer.place(mixer.project(x), torch.arange(40), lambda x, where: rotate(x, where, 10000.0))
    ours = mixer.merge(mixer.readout(mixer.mix(p), p))
    # Their angles are float32.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * float(theirs.detach().abs().max()))


def test_sigmoid_keys_do_not_compete() -> None:
    """Another key's logit moves no entry but its own; its bias is added to every logit."""
    mixer = make("sigmoid")
    p = placed(mixer, inputs())
    before, k = mixer.pattern(p), p.k.clone()
    k[:, :, 7] *= 5
    moved = (mixer.pattern(Projected(p.q, k, p.v)) - before).abs().amax((0, 1, 2))
    assert moved[7] > 1e-2 and moved.sum() == moved[7]
    lower = Sigmoid(HEADS, bias=-math.log(40)).double()
    odds = before / (1 - before) / 40  # σ(z - log 40) has a fortieth of the odds
    visible = torch.ones(40, 40).tril()
    torch.testing.assert_close(lower.pattern(p), odds / (1 + odds) * visible)


def test_an_open_and_a_half_open_gate() -> None:
    """W_gate = 0 halves softmax attention; the matrix does not know of the gate."""
    mixer, x = make("gated"), inputs()
    p = placed(mixer, x)
    torch.testing.assert_close(mixer.pattern(p), softmax_of(p))
    mixer.W_gate.data.zero_()
    half = placed(mixer, x)
    torch.testing.assert_close(mixer.readout(mixer.mix(half), half), mixer.mix(p) / 2)


def test_log_n_starts_where_training_stopped() -> None:
    """Softmax for the first 64 tokens; at token 4,096, whose log is twice as large, q doubles."""
    mixer, x = LogN(HEADS, trained=64).double(), inputs(100)
    raw, p = mixer.project(x), placed(mixer, x)
    torch.testing.assert_close(mixer.pattern(p)[:, :, :64], softmax_of(raw)[:, :, :64])
    one = mixer.project(x[:, :1])
    late = mixer.place(one, torch.tensor([4095]), lambda x, where: x)
    torch.testing.assert_close(late.q, 2 * one.q)
    assert torch.equal(late.k, one.k)
    factor = (torch.arange(1, 101).double().log() / math.log(64)).clamp_min(1)
    theirs = flex(raw, lambda z, b, h, i, j: z * factor[i])
    torch.testing.assert_close(mixer.mix(p), theirs)


@pytest.mark.parametrize(
    ("name", "key_counts", "query_counts"),
    [("key_norm", False, True), ("query_norm", True, False), ("cosa", False, False)],
)
def test_what_is_normalised_may_be_of_any_length(
    name: str, key_counts: bool, query_counts: bool
) -> None:
    mixer, x = make(name), inputs()
    before = mixer.pattern(placed(mixer, x))
    for weight, counts in ((mixer.heads.W_K, key_counts), (mixer.heads.W_Q, query_counts)):
        weight.data *= 3
        change = float((mixer.pattern(placed(mixer, x)) - before).abs().max().detach())
        weight.data /= 3
        assert change > 1e-2 if counts else change < 1e-12


def test_cosa_weighs_by_powers_of_the_row_number() -> None:
    """exp(4 log n · cos) = n^(4 cos); also as flex_attention has it."""
    mixer, x = make("cosa"), inputs()
    raw = mixer.project(x)
    n = torch.arange(1, 41).double()
    q, k, _ = repeated(raw)
    powers = (n[:, None] ** (4 * q @ k.mT)).tril()
    p = placed(mixer, x)
    torch.testing.assert_close(mixer.pattern(p), powers / powers.sum(-1, keepdim=True))
    theirs = flex(raw, lambda z, b, h, i, j: z * 4 * n[i].log(), scale=1.0)
    torch.testing.assert_close(mixer.mix(p), theirs)


def test_alibi_halves_its_slope_from_head_to_head() -> None:
    """Eight heads: 1/2 ... 1/256, the paper's example; without content, weights fall by e^-m."""
    heads = HeadConfig(d_model=16, n_heads=8, n_kv_heads=2)
    mixer = Alibi(heads).double()
    mixer.heads.W_Q.data.zero_()
    p = placed(mixer, torch.randn(1, 50, 16).double())
    m = 0.5 ** torch.arange(1, 9).double()
    torch.testing.assert_close(slopes(p.q), m)
    a = mixer.pattern(p)[0]
    ratio = a[:, -1, :-1] / a[:, -1, 1:]
    torch.testing.assert_close(ratio, (-m).exp()[:, None].expand(-1, 49))


def test_alibi_is_flexs() -> None:
    mixer = make("alibi")
    p = placed(mixer, inputs(200))
    m = torch.tensor([2.0 ** (-8 * h / 4) for h in (1, 2, 3, 4)]).double()
    torch.testing.assert_close(mixer.mix(p), flex(p, lambda z, b, h, i, j: z - m[h] * (i - j)))


def test_alibi_counts_far_in_half_precision() -> None:
    """bfloat16 holds whole numbers to 256 only; the fused road has to tell 2,998 from 2,999."""
    mixer = Alibi(HeadConfig(d_model=32, n_heads=4, n_kv_heads=4))
    p = placed(mixer, torch.randn(1, 3000, 32))
    p = Projected(0 * p.q, p.k, p.v)
    low = Projected(p.q.bfloat16(), p.k.bfloat16(), p.v.bfloat16())
    exact, rough = mixer.mix(p), mixer.mix(low).float()
    assert (rough - exact).abs().max() < 0.03 * exact.abs().max()


WIDE = HeadConfig(d_model=32, n_heads=4, n_kv_heads=2)


def test_two_equal_maps_leave_a_share_of_one() -> None:
    """A = (1 - λ) softmax, and λ = λ_init where both exponents are alike."""
    mixer = Differential(WIDE, lambda_init=0.3).double()
    for weight in (mixer.heads.W_Q, mixer.heads.W_K):
        weight.data[..., 4:] = weight.data[..., :4]
    mixer.lambdas.data[2:] = mixer.lambdas.data[:2]
    p = placed(mixer, torch.randn(1, 20, 32).double())
    first = Projected(p.q[..., :4], p.k[..., :4], p.v)
    torch.testing.assert_close(mixer.pattern(p), 0.7 * softmax_of(first))


def test_the_difference_of_diffllamas_own_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its eager attention returns the maps: the first H are the first maps, the rest the second."""
    mixer, seen = Differential(WIDE).double(), []
    mixer.lambdas.data += 0.5 * torch.randn_like(mixer.lambdas)
    forward = DiffLlamaAttention.forward

    def watched(self, x, turned, mask):
        self.config._attn_implementation = "eager"
        hidden = torch.full((20, 20), -torch.inf).double().triu(1)[None, None]
        seen.append(forward(self, x, turned, hidden)[1])
        return forward(self, x, turned, hidden)

    monkeypatch.setattr(DiffLlamaAttention, "forward", watched)
    x = torch.randn(2, 20, 32).double()
    out = diffllama(mixer, x)
    p = placed(mixer, x)
    q1, k1, q2, k2 = mixer.lambdas.detach()
    share = math.exp(q1 @ k1) - math.exp(q2 @ k2) + 0.8
    first, second = seen[0].chunk(2, 1)
    # Their eager softmax is float32.
    torch.testing.assert_close(mixer.pattern(p), first - share * second, rtol=0, atol=1e-6)
    assert mixer.pattern(p).sum(-1).sub(1 - share).abs().max() < 1e-9
    torch.testing.assert_close(mixer.merge(mixer.readout(mixer.mix(p), p)), out, rtol=0, atol=1e-5)


def test_each_map_rotates_by_itself() -> None:
    """Both maps know only how far apart tokens are."""
    mixer = Differential(WIDE).double()
    p = mixer.project(torch.randn(1, 20, 32).double())
    here, there = (
        mixer.pattern(
            mixer.place(p, torch.arange(n, n + 20), lambda x, where: rotate(x, where, 100.0))
        )
        for n in (0, 77)
    )
    torch.testing.assert_close(here, there)
    assert (here - mixer.pattern(p)).abs().max() > 1e-2


def test_gau_averages_equal_tokens() -> None:
    """Equal tokens: every entry of row i is relu²(q·k / √D) / (i + 1), and the gate is silu."""
    mixer = make("gau")
    x = torch.randn(1, 1, 24).double().expand(1, 30, 24)
    p = placed(mixer, x)
    q, k, v = (t[:, :, 0] for t in repeated(p))
    read = ((q * k).sum(-1).clamp_min(0) ** 2 / 6)[..., None, None]
    assert read.max() > 0
    expected = (read / torch.arange(1, 31)[:, None]).expand(-1, -1, -1, 30).tril()
    torch.testing.assert_close(mixer.pattern(p), expected)
    u = torch.einsum("bte,hed->bhtd", x, mixer.W_gate)
    expected = u * u.sigmoid() * read * v[:, :, None]
    torch.testing.assert_close(mixer.readout(mixer.mix(p), p), expected)
