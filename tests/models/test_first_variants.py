"""More witnesses for the first four: whole Llama layers, chunked and parallel forms, identities."""

import pytest
import torch
import torch.nn.functional as F
from fla.ops.delta_rule.naive import delta_rule_chunkwise, delta_rule_parallel
from fla.ops.linear_attn.naive import naive_chunk_linear_attn
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention

from models.attention.contract import HeadConfig, Mixer, Projected
from models.registry import variant
from tests.models.references import each, repeated

GROUPS = pytest.mark.parametrize("n_kv_heads", [4, 2, 1], ids=["MHA", "GQA", "MQA"])
ROADS = pytest.mark.parametrize("road", ["pattern", "mix"])


def make(name: str, n_kv_heads: int, length: int, dtype: torch.dtype) -> tuple[Mixer, Tensor]:
    """A mixer of four 6-wide heads, its parameters off zero, and an input that wants a gradient."""
    heads = HeadConfig(d_model=24, n_heads=4, n_kv_heads=n_kv_heads)
    mixer = variant(name).mixer(heads).to(dtype)
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return mixer, torch.randn(2, length, 24, dtype=dtype, requires_grad=True)


def run(mixer: Mixer, p: Projected, road: str) -> Tensor:
    """Our output by the explicit matrix or by the fast road."""
    return mixer.pattern(p) @ mixer.values(p) if road == "pattern" else mixer.mix(p)


def agree(ours: Tensor, theirs: Tensor, wrt: list[Tensor], rtol: float) -> None:
    """Same numbers and the same gradients, each within rtol of the largest theirs."""
    weight = torch.randn_like(theirs)
    grads = [
        torch.autograd.grad((out * weight.to(out.dtype)).sum(), wrt, retain_graph=True)
        for out in (ours, theirs)
    ]
    assert theirs.std() > 1e-2
    for a, b in [(ours, theirs), *zip(*grads, strict=True)]:
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= rtol * b.abs().max()


def llama_attention(mixer: Mixer, n_kv_heads: int) -> LlamaAttention:
    """transformers' eager Llama attention with the mixer's weights."""
    config = LlamaConfig(
        hidden_size=24,
        num_attention_heads=4,
        num_key_value_heads=n_kv_heads,
        attn_implementation="eager",
    )
    theirs = LlamaAttention(config, 0).double()
    for ours, linear in (("W_Q", "q_proj"), ("W_K", "k_proj"), ("W_V", "v_proj")):
        weight = getattr(mixer.heads, ours).detach().transpose(1, 2).flatten(0, 1)
        getattr(theirs, linear).weight.data = weight
    theirs.o_proj.weight.data = mixer.W_O.detach().flatten(0, 1).T
    return theirs


@GROUPS
def test_softmax_is_llamas(n_kv_heads: int) -> None:
    mixer, x = make("softmax", n_kv_heads, 21, torch.float64)
    still = (torch.ones(1, 21, 6).double(), torch.zeros(1, 21, 6).double())  # cos, sin: no turn
    mask = torch.full((1, 1, 21, 21), -torch.inf).double().triu(1)
    out, weights = llama_attention(mixer, n_kv_heads)(x, still, mask)
    p = mixer.project(x)
    # Llama's eager softmax runs in float32 whatever comes in.
    agree(mixer.pattern(p), weights, [x], 1e-6)
    agree(mixer.merge(mixer.mix(p)), out, [x], 1e-6)


@GROUPS
def test_a_sink_logit_is_a_gate_on_softmax(n_kv_heads: int) -> None:
    """A = softmax(Z) · σ(lse(Z) - s), row by row."""
    mixer, x = make("sink_logit", n_kv_heads, 40, torch.float64)
    p = mixer.project(x)
    q, k, _ = repeated(p)
    logits = (q @ k.mT / 6**0.5).masked_fill(torch.ones(40, 40).triu(1).bool(), -torch.inf)
    gate = (logits.logsumexp(-1) - mixer.sinks[:, None]).sigmoid()
    agree(mixer.pattern(p), logits.softmax(-1) * gate[..., None], [x, mixer.sinks], 1e-12)
    torch.testing.assert_close(mixer.pattern(p).sum(-1), gate)


def fla_chunks(p: Projected) -> Tensor:
    """fla's chunked linear attention; it wants [B, T, H, D] and chunks of 64."""
    q, k, v = (t.transpose(1, 2) for t in repeated(p))
    out = naive_chunk_linear_attn(F.elu(q) + 1, F.elu(k) + 1, v, normalize=True)
    return out.transpose(1, 2)


@GROUPS
@ROADS
def test_linear_is_flas_chunks(n_kv_heads: int, road: str) -> None:
    mixer, x = make("linear", n_kv_heads, 128, torch.float64)
    p = mixer.project(x)
    # This one keeps float64; what is left is its 1e-10 in the denominator.
    agree(run(mixer, p, road), fla_chunks(p), [x, *mixer.heads.parameters()][:4], 1e-9)


@GROUPS
@ROADS
def test_delta_is_flas_chunks(n_kv_heads: int, road: str) -> None:
    mixer, x = make("delta", n_kv_heads, 96, torch.float32)
    p = mixer.project(x)
    theirs, _ = delta_rule_chunkwise(
        *repeated(p), each(p.extra["beta"], p)
    )  # float32 only: its eye is
    agree(run(mixer, p, road), theirs, [x, mixer.W_beta, mixer.heads.W_V], 2e-5)


@GROUPS
def test_delta_matrix_is_flas(n_kv_heads: int) -> None:
    """fla's parallel form returns A' that multiplies β v, so A = A' diag β."""
    mixer, x = make("delta", n_kv_heads, 128, torch.float32)
    p = mixer.project(x)
    with torch.no_grad():
        out, inner = delta_rule_parallel(*repeated(p), each(p.extra["beta"], p), BM=64, BN=32)
    a = mixer.pattern(p).detach()
    theirs = inner * each(p.extra["beta"], p).detach()[:, :, None, :]
    assert theirs.std() > 1e-3 and theirs.min() < 0
    # Both run in float32 here; theirs also sums its blocks one after the other.
    assert (a - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert (mixer.mix(p) - out).abs().max() <= 1e-5 * out.abs().max()
