"""Linear attention for features that are too large (exponentials) or too many (polynomials).

Exponential features exp(a), exp(b) stay in logarithms. Normalised attention with them is a mixture
of softmaxes, one per feature: A_ij = Σ_f exp(w_if) · softmax_{j ≤ i}(b_jf), with weights
w_i = log softmax_f(a_i + total_i), where total_if = log Σ_{m ≤ i} exp(b_mf). Every exponent below
is a difference to a total that no later key enters: nothing overflows, nothing leaks backwards.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.attention.contract import State, repeat_groups
from models.kernels.linear import CHUNK, chunks

# Log features of queries and the totals they see, to the log weight that each row gives a feature.
Weights = Callable[[Tensor, Tensor], Tensor]


def widened(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """In float32 at least: an exponent in half precision is off by whole per cents."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def normalised(
    q: Float[Tensor, "*n T F"], total: Float[Tensor, "*n T F"]
) -> Float[Tensor, "*n T F"]:
    """Weights that make A_ij = φ(q_i)·φ(k_j) / Σ_{m ≤ i} φ(q_i)·φ(k_m)."""
    return (q + total).log_softmax(-1)


def largest_is_one(
    q: Float[Tensor, "*n T F"], total: Float[Tensor, "*n T F"]
) -> Float[Tensor, "*n T F"]:
    """Weights that only scale the rows of φ(q_i)·φ(k_j), to sums between 1 and F."""
    seen = q + total
    return seen - seen.amax(-1, keepdim=True).detach()


def logs_in_chunks(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], weights: Weights
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log rows (w - total), log keys, totals, and the totals before each chunk, per query head."""
    h = q.shape[1]
    k = chunks(widened(k))
    total = k.flatten(2, 3).logcumsumexp(2).view_as(k)
    k, total = repeat_groups(k, h), repeat_groups(total, h)
    rows = weights(chunks(widened(q)), total) - total
    # Nothing lies before the first chunk; its own first total keeps exponents at or below zero.
    before = torch.cat([total[:, :, :1, :1], total[:, :, :-1, -1:]], 2)
    return rows, k, total, before


def triangle(
    rows: Float[Tensor, "*n L F"], k: Float[Tensor, "*n L F"], total: Float[Tensor, "*n L F"]
) -> Float[Tensor, "*n L L"]:
    """The lower triangle of Σ_f exp(rows_if + k_jf), L a power of two.

    Two triangles and the rectangle between them make the triangle of twice the size; the total at
    the rectangle's edge splits its exponents in two that are both at most zero.
    """
    blocks, size = (rows + k).exp().sum(-1)[..., None, None], 1
    while size < rows.shape[-2]:
        pairs = (-1, 2, size)
        late, early = rows.unflatten(-2, pairs)[..., 1, :, :], k.unflatten(-2, pairs)[..., 0, :, :]
        edge = total.unflatten(-2, pairs)[..., 0, -1:, :]
        between = (late + edge).exp() @ (early - edge).exp().mT
        first, second = blocks.unflatten(-3, (-1, 2)).unbind(-3)
        top = torch.cat([first, torch.zeros_like(between)], -1)
        blocks = torch.cat([top, torch.cat([between, second], -1)], -2)
        size *= 2
    return blocks.squeeze(-3)


def softmaxes(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], weights: Weights
) -> Float[Tensor, "B H T T"]:
    """The matrix Σ_f exp(w_if) softmax_{j ≤ i}(k_jf), from log features."""
    t, dtype = q.shape[2], q.dtype
    rows, k, total, before = logs_in_chunks(q, k, weights)
    within, out = triangle(rows, k, total), []
    for c in range(rows.shape[2]):
        edge, early = before[:, :, c], k[:, :, :c].flatten(2, 3)
        left = (rows[:, :, c] + edge).exp() @ (early - edge).exp().mT
        row = torch.cat([left, within[:, :, c]], -1)
        out.append(F.pad(row, (0, rows.shape[2] * CHUNK - row.shape[-1])))
    return torch.cat(out, 2)[:, :, :t, :t].to(dtype)


def softmaxes_mix(
    q: Float[Tensor, "B H T F"],
    k: Float[Tensor, "B G T F"],
    v: Float[Tensor, "B G T V"],
    weights: Weights,
) -> Float[Tensor, "B H T V"]:
    """The same times v, chunk by chunk."""
    h, t = q.shape[1:3]
    dtype, v = v.dtype, chunks(widened(repeat_groups(v, h)))
    rows, k, total, before = logs_in_chunks(q, k, weights)
    within = triangle(rows, k, total) @ v
    memory, out = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1]), []
    for c in range(rows.shape[2]):
        edge, end = before[:, :, c], total[:, :, c, -1:]
        out.append((rows[:, :, c] + edge).exp() @ memory + within[:, :, c])
        memory = (edge - end).exp().mT * memory + (k[:, :, c] - end).exp().mT @ v[:, :, c]
    return torch.cat(out, 2)[:, :, :t].to(dtype)


def softmaxes_step(
    q: Float[Tensor, "B H 1 F"],
    k: Float[Tensor, "B G 1 F"],
    v: Float[Tensor, "B G 1 V"],
    state: State | None,
    weights: Weights,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token: each feature keeps its total and its average value."""
    h, dtype, k = q.shape[1], v.dtype, widened(k)
    total = k if state is None else torch.logaddexp(state["total"], k)
    memory = (k - total).exp().mT @ widened(v)
    if state is not None:
        memory = memory + (state["total"] - total).exp().mT * state["memory"]
    out = weights(widened(q), repeat_groups(total, h)).exp() @ repeat_groups(memory, h)
    return out.to(dtype), {"total": total, "memory": memory}


def fading(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], weights: Weights
) -> tuple[Float[Tensor, "B H T F"], Float[Tensor, "B G T F"], Float[Tensor, "B G T F"]]:
    """Queries, keys and log decays of a memory with the same matrix; none of them is above 1 or 0.

    A_ij = Σ_f exp(w_if) · exp(total_jf - total_if) · exp(k_jf - total_jf), where the middle factor
    is a product of decays from one token to the next.
    """
    k = widened(k)
    total = k.logcumsumexp(2)
    rows = weights(widened(q), repeat_groups(total, q.shape[1])).exp()
    # Nothing lies before the first token, so its decay is of no account.
    before = torch.cat([total[:, :, :1], total[:, :, :-1]], 2)
    return rows, (k - total).exp(), F.logsigmoid(before - k)


def softmaxes_flops(t: int, n_heads: int, n_features: int, d_value: int) -> int:
    """Of `softmaxes_mix` over t tokens, t a multiple of 64."""
    triangles = (CHUNK - 1) * n_features + 2 * CHUNK * d_value
    return t * n_heads * (triangles + 4 * n_features * d_value)


def products(x: Float[Tensor, "*n D"]) -> Float[Tensor, "*n F"]:
    """All D (D + 1) / 2 products of two entries, so that products(q)·products(k) = (q·k)²."""
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    twice = 2 - (i == j).to(x.dtype)  # one product of two different entries stands for both orders
    return x.index_select(-1, i) * x.index_select(-1, j) * twice.sqrt()


def polynomial_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    kernel: Callable[[Tensor], Tensor],
    feature: Callable[[Tensor], Tensor],
) -> Float[Tensor, "B H T V"]:
    """tril(kernel(q kᵀ)) v where kernel(q·k) = feature(q)·feature(k).

    In float32 at least, as signed features may cancel. Inside a chunk the kernel needs no features;
    those of only one chunk at a time are in memory, and the backward pass makes them again.
    """
    h, t = q.shape[1:3]
    q, k, v = (chunks(widened(x)) for x in (q, k, v))

    def one(q: Tensor, k: Tensor, v: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        near = kernel(q @ repeat_groups(k, h).mT).tril() @ repeat_groups(v, h)
        far = feature(q) @ repeat_groups(memory, h)
        return near + far, memory + feature(k).mT @ v

    if torch.is_grad_enabled():
        one = partial(checkpoint, one, use_reentrant=False, preserve_rng_state=False)
    n_features = feature(k[:, :, 0, :1]).shape[-1]
    memory, out = v.new_zeros(*v.shape[:2], n_features, v.shape[-1]), []
    for chunk in zip(q.unbind(2), k.unbind(2), v.unbind(2), strict=True):
        rows, memory = one(*chunk, memory)
        out.append(rows)
    return torch.cat(out, 2)[:, :, :t]


def polynomial_flops(
    t: int, n_heads: int, n_groups: int, d_key: int, n_features: int, d_value: int
) -> int:
    """Of `polynomial_mix` over t tokens, t a multiple of 64."""
    near = n_heads * CHUNK * (d_key + d_value)
    return 2 * t * (near + (n_heads + n_groups) * n_features * d_value)
