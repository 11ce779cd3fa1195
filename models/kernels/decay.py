"""Linear attention whose memory fades, chunk by chunk or token by token: memory O(T), time O(T).

g is the logarithm of what a token leaves of the memory, at most 0: one number per token (scalar)
or one per key channel (vector). Token t fades and then writes, S_t = exp(g_t) S_{t-1} + k_t v_tᵀ,
so that key j reaches query i through exp(g_{j+1} + ... + g_i). Only such sums are exponentiated,
never the negative of one, so nothing overflows however strong the decay. They are added up from
key to query and not taken as differences of long running sums, so nothing cancels either.
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.attention.contract import State, causal_mask, repeat_groups
from models.kernels.linear import chunks

SUB = 16  # rows that vector decays handle at once: they compare SUB x SUB pairs channel by channel
BLOCK = 256  # tokens whose pairs the vector decay holds at once, a multiple of SUB


def decay_matrix(g: Float[Tensor, "*n T"]) -> Float[Tensor, "*n T T"]:
    """exp(g_{j+1} + ... + g_i) in row i and column j, 0 above the diagonal; at least float32."""
    t = g.shape[-1]
    steps = wide(g)[..., None].expand(*g.shape, t).tril(-1)
    return steps.cumsum(-2).masked_fill(~causal_mask(t, t, g.device), -torch.inf).exp()


def scalar_decay_scores(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], g: Float[Tensor, "#B N T"]
) -> Float[Tensor, "B H T T"]:
    """q kᵀ ⊙ decay_matrix(g); g has one row per key/value head or one per query head."""
    h = q.shape[1]
    return q @ repeat_groups(k, h).mT * decay_matrix(repeat_groups(g, h)).to(q.dtype)


def scalar_decay_mix(
    q: Float[Tensor, "B H T F"],
    k: Float[Tensor, "B G T F"],
    v: Float[Tensor, "B G T V"],
    g: Float[Tensor, "#B N T"],
) -> Float[Tensor, "B H T V"]:
    """scalar_decay_scores(q, k, g) v."""
    h, t = q.shape[1:3]
    q, k, v, g = chunks(q), *(chunks(repeat_groups(x, h)) for x in (k, v, g))
    decay = decay_matrix(g).to(q.dtype)
    since = wide(g).cumsum(-1).exp().to(q.dtype)[..., None]
    near = q @ k.mT * decay
    k = k * decay[..., -1, :, None]
    return by_chunks(q * since, k, v, since[..., -1:, :], near)[:, :, :t]


def vector_decay_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    g: Float[Tensor, "B G T D"],
) -> Float[Tensor, "B H T V"]:
    """vector_decay_scores(q, k, g) v."""
    v = chunks(repeat_groups(v, q.shape[1]), SUB)
    # Products of all pairs of a chunk, feature by feature, are large: a block of them at a time,
    # computed again in the backward pass.
    run = vector_chunks
    if torch.is_grad_enabled():
        run = partial(checkpoint, vector_chunks, use_reentrant=False, preserve_rng_state=False)
    blocks = [run(*part) for part in zip(*(x.split(BLOCK, 2) for x in (q, k, g)), strict=True)]
    since, until, kept, near = (torch.cat(part, 2) for part in zip(*blocks, strict=True))
    return by_chunks(since, until, v, kept.mT, near)[:, :, : q.shape[2]]


def vector_decay_scores(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B G T D"], g: Float[Tensor, "B G T D"]
) -> Float[Tensor, "B H T T"]:
    """Σ_d q_id k_jd exp(g_{j+1,d} + ... + g_{i,d}) for j <= i, SUB rows at a time."""
    t = q.shape[2]
    since, until, _, near = vector_chunks(q, k, g)
    # What of a chunk is left after the chunks up to another one, [B, H, D, C, C].
    total = chunks(repeat_groups(wide(g), q.shape[1]), SUB).sum(3)
    left = decay_matrix(total.mT).to(q.dtype)
    rows = []
    for n in range(near.shape[2]):
        faded = until[:, :, :n] * left[..., n - 1, :n].mT[..., None, :]
        row = torch.cat([since[:, :, n] @ faded.flatten(2, 3).mT, near[:, :, n]], -1)
        rows.append(F.pad(row, (0, t - row.shape[-1])))
    return torch.cat(rows, 2)[:, :, :t]


def vector_chunks(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B G T D"], g: Float[Tensor, "B G T D"]
) -> tuple[
    Float[Tensor, "B H C S D"],
    Float[Tensor, "B H C S D"],
    Float[Tensor, "B H C 1 D"],
    Float[Tensor, "B H C S S"],
]:
    """Chunks of SUB rows: queries faded since the chunk's start, keys until its end, what all of
    it leaves of the memory before, and the scores within it."""
    h = q.shape[1]
    q, k, g = (chunks(repeat_groups(x, h), SUB) for x in (q, k, g))
    decay = decay_matrix(g.mT).to(q.dtype)
    since = wide(g).cumsum(-2).exp().to(q.dtype)
    near = (q.mT[..., :, None] * k.mT[..., None, :] * decay).sum(-3)
    return q * since, k * decay[..., -1, :].mT, since[..., -1:, :], near


def by_chunks(
    q: Float[Tensor, "B H C S F"],
    k: Float[Tensor, "B H C S F"],
    v: Float[Tensor, "B H C S V"],
    kept: Float[Tensor, "#B H C #F 1"],
    near: Float[Tensor, "B H C S S"],
) -> Float[Tensor, "B H R V"]:
    """Reads from the memory before each chunk, and within it by the scores `near`."""
    writes = k.mT @ v
    memory, before = torch.zeros_like(writes[:, :, 0]), []
    # unbind, because the gradient of one index is as large as the whole: time would grow like T².
    for keeps, written in zip(kept.unbind(2), writes.unbind(2), strict=True):
        before.append(memory)
        memory = keeps * memory + written
    return (q @ torch.stack(before, 2) + near @ v).flatten(2, 3)


def decay_step(
    q: Float[Tensor, "B H 1 F"],
    k: Float[Tensor, "B G 1 F"],
    v: Float[Tensor, "B G 1 V"],
    g: Float[Tensor, "#B N 1 *F"],
    state: State | None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token: S = exp(g) S + k vᵀ, output qᵀ S; g is a scalar or a vector per head."""
    k, v = (repeat_groups(x, max(g.shape[1], x.shape[1])) for x in (k, v))
    memory = k.mT @ v
    if state is not None:
        kept = (g[..., None] if g.ndim == 3 else g.mT).exp().to(q.dtype)
        memory = kept * state["memory"] + memory
    return q @ repeat_groups(memory, q.shape[1]), {"memory": memory}


def vector_decay_flops(t: int, n_heads: int, d_key: int, d_value: int) -> int:
    """Of `vector_decay_mix` over t tokens, t a multiple of 64; scores in a chunk are no product."""
    return 2 * t * n_heads * d_value * (2 * d_key + SUB)


def scaled(q: Float[Tensor, "B H T D"]) -> Float[Tensor, "B H T D"]:
    """q / √D."""
    return q * q.shape[-1] ** -0.5


def steady(g: Float[Tensor, " N"], q: Float[Tensor, "B H T D"]) -> Float[Tensor, "1 N T"]:
    """The same log decay of each head at every token of q."""
    g = g.to(torch.promote_types(q.dtype, torch.float32))
    return g[None, :, None].expand(-1, -1, q.shape[2])


def wide(g: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """In float32 at least: a sum of many small logarithms is lost in half precision."""
    return g.to(torch.promote_types(g.dtype, torch.float32))
