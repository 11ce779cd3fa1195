"""PaTH's logits and DeltaFormer's writes, block by block: memory grows with T.

Both solve a triangular system that links the keys among each other, and then take a softmax.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import causal_mask, lags, repeat_groups
from models.kernels.delta import solve_unit, writes
from models.kernels.linear import CHUNK, chunks
from models.kernels.softmax import dot, remembering


def pairs(t: int, block: int) -> int:
    """Entries of a t x t matrix in blocks of rows, each as wide as its last row sees."""
    return sum((min(i + block, t) - i) * min(i + block, t) for i in range(0, t, block))


def recomputed(f: Callable[[int], Tensor], i: int) -> Tensor:
    """f(i); where gradients are wanted its inner tensors are computed again, not kept."""
    return remembering(f, i) if torch.is_grad_enabled() else f(i)


def path_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    w: Float[Tensor, "B G T D"],
    beta: Float[Tensor, "B G T"],
) -> Float[Tensor, "B H T V"]:
    """softmax(q_i · H_i ... H_{j+1} k_j / √D) v, where H_s = I - β_s w_s w_sᵀ.

    A query walks back over the chunks: it meets each one's keys as that chunk's end left them, and
    then takes on the chunk's reflections, whose product is I - Wᵀ U.
    """
    (h, t, d), scale = q.shape[1:], q.shape[-1] ** -0.5
    q, k, w, beta = chunks(q), chunks(k), chunks(w), chunks(beta)
    u, inner = writes(w, beta, torch.cat([w, (w @ k.mT).tril(-1)], -1)).split([d, CHUNK], -1)
    ends = k - inner.mT @ w
    k, v, w, u, inner, ends = (repeat_groups(x, h) for x in (k, v, w, u, inner, ends))
    reads = (q @ w.mT).tril()
    within = (q @ k.mT).tril() - reads @ inner
    within = within.masked_fill(~causal_mask(CHUNK, CHUNK, q.device), -torch.inf)
    start = q - reads @ u  # the queries as the chunk's first key hands them on

    def rows(c: int) -> Tensor:
        x, logits = start[:, :, c], [within[:, :, c]]
        for j in reversed(range(c)):
            logits.append(x @ ends[:, :, j].mT)
            x = x - x @ w[:, :, j].mT @ u[:, :, j]
        seen = min((c + 1) * CHUNK, t)
        a = (torch.cat(logits[::-1], -1) * scale).softmax(-1)
        return a[..., :seen] @ v[:, :, :seen]

    return torch.cat([recomputed(rows, c) for c in range(q.shape[2])], 2)[:, :, :t]


def path_flops(t: int, n_heads: int, n_groups: int, d_key: int, d_value: int) -> int:
    """Of `path_mix` over t tokens, t a multiple of 64."""
    earlier = pairs(t, CHUNK) - t * CHUNK  # entries left of the diagonal blocks
    keys = t * CHUNK * (7 * d_key + CHUNK)
    queries = t * CHUNK * (6 * d_key + 2 * CHUNK) + 6 * d_key * earlier
    return n_groups * keys + n_heads * (queries + 2 * d_value * pairs(t, CHUNK))


def strict_softmax(logits: Float[Tensor, "B G T S"]) -> Float[Tensor, "B G T S"]:
    """Softmax over earlier keys alone; the first key has none, and a row of zeros."""
    behind = lags(*logits.shape[-2:], logits.device)
    hidden = behind <= 0
    hidden[:, 0] = False  # so that no row is empty; what the first key reads of itself goes below
    return logits.masked_fill(hidden, -torch.inf).softmax(-1) * (behind > 0)


def softmax_writes(
    k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T V"], beta: Float[Tensor, "B G T"]
) -> Float[Tensor, "B G T V"]:
    """(I + diag β · softmax_strict(KKᵀ / √D))⁻¹ v, in blocks of rows."""
    written: list[Tensor] = []

    def rows(low: int) -> Tensor:
        here, seen = slice(low, low + CHUNK), slice(0, low + CHUNK)
        strength = beta[:, :, here, None]
        reads = strength * strict_softmax(dot(k[:, :, here], k[:, :, seen]))
        earlier = torch.cat([v[:, :, :0], *written[: low // CHUNK]], 2)
        return solve_unit(reads[..., low:], v[:, :, here] - reads[..., :low] @ earlier)

    for low in range(0, k.shape[2], CHUNK):
        written.append(recomputed(rows, low))
    return torch.cat(written, 2)


def softmax_writes_flops(t: int, n_groups: int, d_key: int, d_value: int) -> int:
    """Of `softmax_writes` over t tokens, t a multiple of 64."""
    both = 2 * (d_key + d_value) * pairs(t, CHUNK)
    return n_groups * (both - d_value * t * CHUNK)
