"""flash-linear-attention's recurrences for delta rules with decay; all of them cast to float32."""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from fla.ops.comba.naive import naive_chunk_comba
from fla.ops.gated_delta_product.naive import naive_recurrent_gated_delta_product
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule
from fla.ops.generalized_delta_rule.dplr.naive import dplr_recurrence
from fla.ops.kda.naive import naive_recurrent_kda
from fla.ops.mesa_net.naive import naive_mesa_net_exact
from fla.ops.rwkv7.fused_k_update import k_update_ref
from fla.ops.rwkv7.gate_output_correction import gate_output_correction_ref
from torch import Tensor, nn

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, each, repeated, sequence_first


def extras(p: Projected, *names: str) -> list[Tensor]:
    """Key-side extras, one per query head, sequence first."""
    return sequence_first(*(each(p.extra[name], p) for name in names))


def gated_delta(mixer: Mixer, p: Projected) -> Tensor:
    """fla's gated delta rule, token by token."""
    q, k, v = sequence_first(*repeated(p))
    return naive_recurrent_gated_delta_rule(q, k, v, *extras(p, "beta", "decay"))[0].transpose(1, 2)


def comba(mixer: Mixer, p: Projected) -> Tensor:
    """fla's chunked Comba. Its token-by-token form reads after the decay; this one and its
    compiled kernels read before it, as the paper does."""
    q, k, v = repeated(p)
    feedback = each(mixer.feedback.sigmoid()[None, :, None, None], p)
    q = q - mixer.correction[:, None, None] * k
    q, k, v, read = sequence_first(q, k, v, feedback * k)
    beta, g = extras(p, "beta", "decay")
    return naive_chunk_comba(q, k, v, read, g, beta)[0].transpose(1, 2)


def delta_product(mixer: Mixer, p: Projected) -> Tensor:
    """fla's gated DeltaProduct, token by token and write by write."""
    q, k, v = sequence_first(*repeated(p))
    beta, g = extras(p, "beta", "decay")
    o, _ = naive_recurrent_gated_delta_product(
        q, k, v, g, beta.transpose(2, 3).flatten(1, 2), q.shape[-1] ** -0.5, num_householder=2
    )
    return o.transpose(1, 2)


def kda(mixer: Mixer, p: Projected) -> Tensor:
    """fla's Kimi delta attention, token by token."""
    q, k, v = sequence_first(*repeated(p))
    return naive_recurrent_kda(q, k, v, *extras(p, "decay", "beta"))[0].transpose(1, 2)


def rwkv7(mixer: Mixer, p: Projected) -> Tensor:
    """fla's diagonal plus low rank recurrence, heads first, called as its RWKV-7 layer does."""
    # It casts only some of its arguments to float32.
    q, k, v = (x.float() for x in repeated(p))
    removal, rate, g = (each(p.extra[name], p).float() for name in ("removal", "rate", "decay"))
    return dplr_recurrence(q * q.shape[-1] ** 0.5, k, v, -removal, removal * rate, g)[0]


def low_rank(x: Tensor, mixer: Mixer, name: str, activation: nn.Module) -> Tensor:
    """fla's two-layer projection with our weights, [B, T, N, D]; a bias where we have one."""
    low, high = getattr(mixer, f"W_{name}_low"), getattr(mixer, f"W_{name}")
    bias = getattr(mixer, f"b_{name}", torch.zeros(high.shape[0], high.shape[-1]))
    out = F.linear(activation(x @ low), high.transpose(1, 2).flatten(0, 1), bias.flatten().to(x))
    return out.unflatten(-1, (high.shape[0], -1))


def rwkv7_layer(mixer: Mixer, x: Tensor) -> Tensor:
    """The steps of fla's RWKV-7 layer with its own PyTorch parts, without its shift of tokens."""
    (b, t, e), (h, _, d) = x.shape, mixer.heads.W_Q.shape
    share = h // mixer.heads.W_K.shape[0]
    r, k, v = (
        torch.einsum("bte,ned->btnd", x, w)
        for w in (mixer.heads.W_Q, mixer.heads.W_K, mixer.heads.W_V)
    )
    w = -0.6065306597126334 * low_rank(x, mixer, "decay", nn.Tanh()).sigmoid()
    a = low_rank(x, mixer, "rate", nn.Identity()).sigmoid()
    g = low_rank(x, mixer, "gate", nn.Sigmoid()).flatten(2)
    kk = F.normalize(k * mixer.removal, dim=-1)
    k = k_update_ref(k, a, mixer.replacement)
    w, a, kk, k, v = (y.repeat_interleave(share, 2) for y in (w, a, kk, k, v))
    heads_first = [y.transpose(1, 2).float() for y in (r * d**0.5, k, v, -kk, kk * a, w)]
    o = dplr_recurrence(*heads_first)[0].transpose(1, 2).to(x)
    o = F.group_norm(
        o.reshape(b * t, e), h, mixer.gain.flatten(), mixer.shift.flatten(), eps=d * 1e-5
    )
    z = gate_output_correction_ref(o.view(b, t, e), r, k, mixer.bonus, v, g)
    return z @ mixer.W_O.flatten(0, 1)


def mesa(mixer: Mixer, p: Projected) -> Tensor:
    """fla's exact MesaNet, one linear system per token."""
    q, k, v = sequence_first(*repeated(p))
    beta, g = extras(p, "beta", "decay")
    penalty = each((F.softplus(mixer.ridge) + 0.25)[None], p)[0]
    return naive_mesa_net_exact(q, k, v, g, penalty, beta)[0].transpose(1, 2)


def with_matrix(mix: Callable[[Mixer, Projected], Tensor]) -> Reference:
    """Also the matrix, read off by giving the recurrence the identity for values."""

    def pattern(mixer: Mixer, p: Projected) -> Tensor:
        size = p.v.shape[2]
        return mix(mixer, replace(p, v=torch.eye(size).expand(*p.v.shape[:2], -1, -1)))

    return Reference(mix=mix, pattern=pattern)


REFERENCES = {
    "gated_delta": with_matrix(gated_delta),
    "comba": with_matrix(comba),
    "delta_product": with_matrix(delta_product),
    "kda": with_matrix(kda),
    "rwkv7": replace(with_matrix(rwkv7), layer=rwkv7_layer),
    "mesa": Reference(mix=mesa),  # it takes values of the keys' width only
}
