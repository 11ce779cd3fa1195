"""flash-linear-attention's and performer-pytorch's feature maps, and formulas token by token."""

import math

import torch
import torch.nn.functional as F
from fla.modules.feature_map import RebasedFeatureMap
from fla.ops.based.naive import naive_parallel_based
from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
from fla.ops.rebased.naive import naive_parallel_rebased
from performer_pytorch.performer_pytorch import (
    FastAttention,
    causal_linear_attention_noncuda,
    generalized_kernel,
    softmax_kernel,
)
from torch import Tensor

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, each, repeated, sequence_first


def fla_unnormalised(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """fla's linear attention without its denominator; it casts to float32."""
    out, _ = naive_recurrent_linear_attn(*sequence_first(q, k, v), scale=scale)
    return out.transpose(1, 2)


def fast_attention_of_prefixes(mixer: Mixer, p: Projected) -> Tensor:
    """performer-pytorch's bidirectional efficient attention, of every prefix its last token."""
    theirs = FastAttention(p.q.shape[-1], nb_features=1, no_projection=True)
    q, k, v = repeated(p)
    ends = range(1, q.shape[2] + 1)
    return torch.cat([theirs(q[:, :, t - 1 : t], k[:, :, :t], v[:, :, :t]) for t in ends], 2)


def performer_features(x: Tensor, omega: Tensor, is_query: bool) -> Tensor:
    """performer-pytorch's φ without the constant it adds.

    Its maximum over all keys scales them all alike, which the denominator undoes where nothing
    underflows.
    """
    return softmax_kernel(x, projection_matrix=omega, is_query=is_query, eps=0.0)


def performer(mixer: Mixer, p: Projected) -> Tensor:
    """performer-pytorch's causal attention with the directions drawn by ours."""
    q, k, v = repeated(p)
    q, k = performer_features(q, mixer.omega, True), performer_features(k, mixer.omega, False)
    return causal_linear_attention_noncuda(q, k, v, eps=0.0)


def exponential_kernel(mixer: Mixer, p: Projected) -> Tensor:
    """The same with performer-pytorch's generalised kernel, exp(W x), head by head."""
    q, k, v = repeated(p)
    w = mixer.W_phi.repeat_interleave(q.shape[1] // len(mixer.W_phi), 0).mT
    outs = []
    for h in range(q.shape[1]):
        settings = dict(projection_matrix=w[h], kernel_fn=torch.exp, kernel_epsilon=0.0)
        one = slice(h, h + 1)
        features = [generalized_kernel(x[:, one], normalize_data=False, **settings) for x in (q, k)]
        outs.append(causal_linear_attention_noncuda(*features, v[:, one], eps=0.0))
    return torch.cat(outs, 1)


def one_plus_cos(mixer: Mixer, p: Projected) -> Tensor:
    """Formula of kexue 7546, token by token."""
    q, k, v = repeated(p)
    rows = []
    for i in range(q.shape[2]):
        near = 1 + F.cosine_similarity(q[:, :, i, None], k[:, :, : i + 1], dim=-1)
        rows.append((near[..., None] * v[:, :, : i + 1]).sum(2) / near.sum(2)[..., None])
    return torch.stack(rows, 2)


def cosformer(mixer: Mixer, x: Tensor) -> Tensor:
    """Formula of cosFormer's equation 10, pair by pair, from the residual stream on.

    With ours it has a floor of 1e-6 under its ReLU, as some rows would be 0/0.
    """
    heads = mixer.heads
    q, k, v = (torch.einsum("bte,hed->bhtd", x, w) for w in (heads.W_Q, heads.W_K, heads.W_V))
    p = Projected(q, k, v)
    k, v = each(k, p), each(v, p)
    rows = []
    for i in range(x.shape[1]):
        pairs = [
            ((q[:, :, i].clamp(min=0) + 1e-6) * (k[:, :, j].clamp(min=0) + 1e-6)).sum(-1)
            * math.cos(math.pi * (i - j) / (2 * mixer.reach))
            for j in range(i + 1)
        ]
        weight = torch.stack(pairs, -1)
        total = weight.sum(-1, keepdim=True)
        row = torch.einsum("bhs,bhsv->bhv", weight / total, v[:, :, : i + 1])
        rows.append(row)
    return torch.einsum("bhtd,hde->bte", torch.stack(rows, 2), heads.W_O)


def over_last_column(naive, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A naive function of fla without its denominator (it adds 1e-6), and the division by hand."""
    out = naive(q, k, F.pad(v, (0, 1), value=1.0), use_norm=False)
    return out[..., :-1] / out[..., -1:]


def rebased(mixer: Mixer, x: Tensor) -> Tensor:
    """fla's ReBased: its feature map, then its matrix, from the residual stream on."""
    heads = mixer.heads
    q, k, v = (torch.einsum("bte,hed->bhtd", x, w) for w in (heads.W_Q, heads.W_K, heads.W_V))
    # With use_beta it would take a GPU kernel for the same layer norm.
    norm = RebasedFeatureMap(q.shape[-1], use_gamma=False, use_beta=False)
    norm.gamma, norm.beta = mixer.gain, mixer.shift
    p = Projected(norm(q, flatten=False), norm(k, flatten=False), v)
    z = over_last_column(naive_parallel_rebased, *repeated(p))
    return torch.einsum("bhtd,hde->bte", z, heads.W_O)


def norm_attention(mixer: Mixer, p: Projected) -> Tensor:
    """fla's linear attention with φ applied outside."""
    q, k, v = repeated(p)
    return fla_unnormalised(F.elu(q) + 1, F.elu(k) + 1, v, scale=1.0)


def norm_attention_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """The same, RMS norm over the heads of a token side by side, and W_O."""
    o = norm_attention(mixer, mixer.project(x)).transpose(1, 2).flatten(2)
    return F.rms_norm(o, o.shape[-1:], eps=1e-6) @ mixer.W_O.flatten(0, 1)


REFERENCES = {
    "unnormalised": Reference(mix=lambda mixer, p: fla_unnormalised(*repeated(p))),
    "efficient": Reference(mix=fast_attention_of_prefixes),
    "one_plus_cos": Reference(mix=one_plus_cos),
    "exp_feature": Reference(mix=exponential_kernel),
    "performer": Reference(mix=performer),
    "cosformer": Reference(layer=cosformer),
    "based": Reference(mix=lambda mixer, p: over_last_column(naive_parallel_based, *repeated(p))),
    "rebased": Reference(layer=rebased),
    "norm_attention": Reference(mix=norm_attention, layer=norm_attention_layer),
}
