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
from torch import Tensor

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
    "rwkv7": with_matrix(rwkv7),
    "mesa": Reference(mix=mesa),  # it takes values of the keys' width only
}
