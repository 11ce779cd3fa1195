"""PyTorch under each mask's rule, local-attention's buckets, and transformers' Longformer."""

import functools
import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from local_attention import LocalAttention
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from models.attention.contract import Mixer, Projected
from tests.models.references import Reference, repeated

Visible = Callable[[Mixer, Tensor, Tensor, Tensor], Tensor]  # mixer, head, row, key


def masked(mixer: Mixer, p: Projected, visible: Visible) -> Tensor:
    """scaled_dot_product_attention under the dense mask that PyTorch makes of a mask_mod."""
    mask = create_mask(mask_mod(mixer, visible), 1, *p.q.shape[1:3], p.q.shape[2], device="cpu")
    return F.scaled_dot_product_attention(*repeated(p), attn_mask=mask)


def mask_mod(mixer: Mixer, visible: Visible) -> Callable:
    """visible(mixer, h, i, j) and nothing of the future, as flex_attention asks for it."""
    return lambda b, h, i, j: (j <= i) & visible(mixer, h, i, j)


def local(width: int, look_backward: int) -> Callable[[Mixer, Projected], Tensor]:
    """local-attention's buckets of `width`: with one bucket behind, cut to lags up to `width`."""
    theirs = LocalAttention(
        width,
        causal=True,
        look_backward=look_backward,
        exact_windowsize=look_backward > 0,
        use_rotary_pos_emb=False,
        autopad=True,
    )
    return lambda mixer, p: theirs(*repeated(p))


def longformer_self_attention(mixer: Mixer, width: int, heads: int) -> LongformerSelfAttention:
    """Theirs with our weights, key/value heads written out once per query head."""
    config = LongformerConfig(
        hidden_size=width,
        num_attention_heads=heads,
        attention_window=[2 * (mixer.reach - 1)],
        attention_probs_dropout_prob=0.0,
    )
    theirs = LongformerSelfAttention(config, 0).double()
    sources = {
        "query": mixer.heads.W_Q,
        "key": mixer.heads.W_K,
        "value": mixer.heads.W_V,
        "query_global": mixer.W_Q_global,
        "key_global": mixer.W_K_global,
        "value_global": mixer.W_V_global,
    }
    for name, weight in sources.items():
        layer = getattr(theirs, name)
        del layer.weight, layer.bias  # plain tensors, so that gradients reach ours
        each = weight.repeat_interleave(heads // len(weight), 0)
        layer.weight, layer.bias = each.transpose(1, 2).flatten(0, 1), None
    return theirs


def longformer(mixer: Mixer, x: Tensor) -> Tensor:
    """Row i is theirs, which looks ahead, at the last token of x[:i + 1]."""
    heads = mixer.W_O.shape[0]
    theirs = longformer_self_attention(mixer, x.shape[-1], heads)
    rows = []
    for length in range(1, x.shape[1] + 1):
        filled = F.pad(x[:, :length], (0, 0, 0, -length % (2 * (mixer.reach - 1))))
        kind = torch.zeros(filled.shape[:2])
        kind[:, : mixer.n_global] = 10000
        kind[:, length:] = -10000
        out = theirs(
            filled,
            attention_mask=kind,
            is_index_masked=kind < 0,
            is_index_global_attn=kind > 0,
            is_global_attn=True,
        )[0]
        rows.append(out[:, length - 1])
    z = torch.stack(rows, 1).unflatten(-1, (heads, -1))
    return torch.einsum("bthd,hde->bte", z, mixer.W_O)


def powers_of_two(mixer: Mixer, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Blocks as far apart as a power of two, written as a list."""
    distance = i // mixer.block - j // mixer.block
    return functools.reduce(operator.or_, (distance == d for d in (0, 1, 2, 4, 8, 16, 32)))


def sinks(m: Mixer, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Sinks and recent keys."""
    return (i - j < m.window) | (j < m.sinks)


VISIBLE: dict[str, Visible] = {
    "window": lambda m, h, i, j: i - j < m.window,
    "streaming": sinks,
    "lambda_mask": sinks,
    "strided": lambda m, h, i, j: torch.where(
        h % 2 == 0, i - j < m.stride, (i - j) % m.stride == 0
    ),
    "fixed": lambda m, h, i, j: (
        (i // m.block == j // m.block) | (j % m.block >= m.block - m.summary)
    ),
    "atrous_local": lambda m, h, i, j: (i - j <= m.reach) | ((i - j) % m.reach == 0),
    "block_sparse": powers_of_two,
    "diag": lambda m, h, i, j: i // m.block == j // m.block,
    # These three hide nothing; without rotation they are plain attention.
    "rerope": lambda m, h, i, j: j >= 0,
    "leaky_rerope": lambda m, h, i, j: j >= 0,
    "self_extend": lambda m, h, i, j: j >= 0,
}

REFERENCES = {
    name: Reference(mix=functools.partial(masked, visible=visible))
    for name, visible in VISIBLE.items()
} | {
    "window": Reference(mix=local(31, look_backward=1)),  # they count the keys behind the query
    "diag": Reference(mix=local(32, look_backward=0)),
    "longformer": Reference(layer=longformer),
}
