"""Softmax attention by stock fused attention, in blocks of rows, or token by token with a cache."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.attention.contract import Mixer, Projected, State, causal_mask, cut, repeat_groups

BLOCK = 128  # query rows handled at once by `by_rows`: memory is O(BLOCK · keys they see)


def dot(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B G S D"], scale: float | None = None
) -> Float[Tensor, "B H T S"]:
    """q·k · scale, which is 1/√D unless given."""
    return q @ repeat_groups(k, q.shape[1]).mT * (q.shape[-1] ** -0.5 if scale is None else scale)


def masked(
    logits: Float[Tensor, "B H T S"], allowed: Bool[Tensor, "*#batch T S"] | None = None
) -> Float[Tensor, "B H T S"]:
    """Minus infinity at future keys, and at keys that are not `allowed`."""
    visible = causal_mask(*logits.shape[-2:], logits.device)
    return logits.masked_fill(~(visible if allowed is None else visible & allowed), -torch.inf)


def softmax_with_sink(
    scores: Float[Tensor, "B H T S"], sink: Float[Tensor, "B H T"]
) -> Float[Tensor, "B H T S"]:
    """softmax([scores, sink]) without its last column: rows sum to less than one."""
    whole = torch.cat([scores, sink[..., None].to(scores.dtype)], -1)
    return whole.softmax(-1)[..., :-1]


def fused(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    scale: float | None = None,
) -> Float[Tensor, "B H T V"]:
    """Causal softmax attention on stock kernels, without an n x n mask."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True, scale=scale)


def fused_with_sink(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    sink: Float[Tensor, "B H T"],
    scale: float | None = None,
) -> Float[Tensor, "B H T V"]:
    """The same with one more logit per query on a virtual key of value zero.

    The sink becomes a real key 0, seen through one extra coordinate: the query carries its sink
    logit there, that key a one, and every other key a zero. A query row in front keeps the causal
    mask aligned.
    """
    h, d = q.shape[1], q.shape[-1]
    scale = d**-0.5 if scale is None else scale
    pad = 8 - d % 8  # one at least; fused kernels want a head width that is a multiple of 8
    logit = F.pad((sink / scale).to(q.dtype)[..., None], (0, pad - 1, 1, 0))
    q = torch.cat([F.pad(q, (0, 0, 1, 0)), logit], -1)
    unit = F.pad(k.new_ones(1), (d, pad - 1))
    first = F.pad(k.new_ones(1), (0, k.shape[-2]))
    k = F.pad(repeat_groups(k, h), (0, pad, 1, 0)) + first[:, None] * unit
    wide = max(0, d + pad - v.shape[-1])  # they also want values as wide as keys
    z = F.scaled_dot_product_attention(
        q, k, F.pad(repeat_groups(v, h), (0, wide, 1, 0)), is_causal=True, scale=scale
    )
    return z[..., 1:, : v.shape[-1]]


def sink_flops(t: int, n_heads: int, d_key: int, d_value: int) -> int:
    """Of `fused_with_sink` over t tokens: one key and query more, and a wider head."""
    wide = d_key + 8 - d_key % 8
    return 2 * n_heads * (t + 1) ** 2 * (wide + max(wide, d_value))


def by_rows(
    mixer: Mixer, p: Projected, reach: int | None = None, block: int = BLOCK
) -> Float[Tensor, "B H T V"]:
    """pattern @ values a block of query rows at a time, for what stock kernels cannot do.

    With `reach`, rows see only the last `reach` keys, so time grows with T · reach; the variant's
    mask must depend on lags alone. The backward pass recomputes each block instead of keeping it.
    """

    def rows(low: int) -> Tensor:
        high = min(low + block, p.q.shape[2])
        start = 0 if reach is None else max(0, low - reach + 1)
        part = cut(p, slice(low, high), slice(start, high), mixer.traits)
        return mixer.pattern(part) @ mixer.values(part)

    run = remembering if torch.is_grad_enabled() else (lambda f, low: f(low))
    return torch.cat([run(rows, low) for low in range(0, p.q.shape[2], block)], 2)


def remembering(f: Callable[[int], Tensor], low: int) -> Tensor:
    """f(low), whose inner tensors are computed again in the backward pass."""
    return checkpoint(f, low, use_reentrant=False, preserve_rng_state=False)


def cached(
    mixer: Mixer,
    p: Projected,
    state: State | None,
    keep: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One token with a cache of keys, values and key-side extras.

    `keep` drops cached tokens (axis 2) that no later query may see; it runs after the new token
    has joined, so its queries must not need what it drops either.
    """
    sides = mixer.traits.side
    new = {"k": p.k, "v": p.v} | {n: x for n, x in p.extra.items() if sides.get(n) != "q"}
    whole = new if state is None else {n: torch.cat([state[n], x], 2) for n, x in new.items()}
    if keep is not None:
        whole = {name: keep(x) for name, x in whole.items()}
    extra = {name: whole.get(name, x) for name, x in p.extra.items()}
    seen = Projected(p.q, whole["k"], whole["v"], extra)
    return mixer.pattern(seen) @ mixer.values(seen), whole
