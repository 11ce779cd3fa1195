"""Weights at chosen keys: one dot product each once a row's log-sum-exp is known, O(n · d)."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.wanted import Wanted
from models.forms import Dots

AT_ONCE = 2**19  # numbers gathered at a time


def at_keys(
    dots: Dots, lse: Float[Tensor, "B H T"], keys: Int[Tensor, "#B T C"]
) -> Float[Tensor, "B H T C"]:
    """A of every row at C positions of its own; 0 where there is no such key or it is not seen.

    `lse` is the log-sum-exp of the rows, a learned sink logit included.
    """
    b, h, t, d = dots.q.shape
    g, n = dots.k.shape[1], keys.shape[-1]
    weights = torch.empty(b, h, t, n, dtype=precise(dots), device=dots.q.device)
    step = max(1, AT_ONCE // max(1, b * h * n * d))
    for first in range(0, t if n else 0, step):
        rows = slice(first, first + step)
        at, there = found(dots, keys[:, rows])
        q = dots.q[:, :, rows].unflatten(1, (g, h // g)).to(weights.dtype)
        z = (q[:, :, :, :, None] * gathered(dots.k, at).to(q.dtype)[:, :, None]).sum(-1)
        z = finished(dots, z.flatten(1, 2), rows, at)
        weights[:, :, rows] = weighed(dots, z, lse[:, :, rows], keys[:, rows], rows, there)
    return weights


def at_columns(
    dots: Dots, lse: Float[Tensor, "B H T"], columns: tuple[int, ...]
) -> Float[Tensor, "B H T C"]:
    """A of every row at the same few positions: one narrow matrix product."""
    h, g = dots.q.shape[1], dots.k.shape[1]
    keys = torch.tensor(columns, device=dots.q.device)[None, None]
    at, there = found(dots, keys)
    k = dots.k[:, :, at[0, 0]].to(precise(dots))
    parts = []
    for head in range(h):
        q = dots.q[:, head].to(k.dtype)
        parts.append(q @ k[:, head * g // h].mT)
    every = slice(None)
    z = finished(dots, torch.stack(parts, 1), every, at)
    return weighed(dots, z, lse, keys, every, there)


def at_offsets(
    dots: Dots, lse: Float[Tensor, "B H T"], offsets: tuple[int, ...]
) -> Float[Tensor, "B H T C"]:
    """A of every row at the keys so many tokens back."""
    keys = (dots.rows[:, None] - torch.tensor(offsets, device=dots.q.device))[None]
    if dots.query_at is not None or dots.key_at is not None:
        return at_keys(dots, lse, keys)
    # Neighbouring rows look at neighbouring keys: slices, where `at_keys` copies key by key.
    b, h, t, d = dots.q.shape
    ahead, step = dots.k.shape[2] - t, max(1, AT_ONCE // (b * h * d))
    z = torch.zeros(b, h, t, len(offsets), dtype=precise(dots), device=dots.q.device)
    for place, back in enumerate(offsets):
        for first in range(max(0, back - ahead), t, step):
            last = min(t, first + step)
            q = dots.q[:, :, first:last].unflatten(1, (dots.k.shape[1], -1)).to(z.dtype)
            k = dots.k[:, :, None, first + ahead - back : last + ahead - back].to(z.dtype)
            z[:, :, first:last, place] = (q * k).sum(-1).flatten(1, 2)
    at, there = found(dots, keys)
    every = slice(None)
    return weighed(dots, finished(dots, z, every, at), lse, keys, every, there)


def with_points(
    stats: HeadStats, dots: Dots, wanted: Wanted, lse: Float[Tensor, "B H T"] | None = None
) -> HeadStats:
    """The statistics with the wanted columns, offsets and targets filled in.

    `lse` may give the log-sum-exp more precisely than the statistics do.
    """
    lse, kind = stats.lse if lse is None else lse, stats.row_sum.dtype
    more = {}
    if wanted.columns:
        more["columns"] = at_columns(dots, lse, wanted.columns).to(kind)
    if wanted.offsets:
        more["offsets"] = at_offsets(dots, lse, wanted.offsets).to(kind)
    if wanted.targets is not None:
        more["targets"] = at_keys(dots, lse, wanted.targets[..., None])[..., 0].to(kind)
    return replace(stats, **more)


def precise(dots: Dots) -> torch.dtype:
    """Float32, or float64 where the queries are."""
    return torch.promote_types(dots.q.dtype, torch.float32)


def found(dots: Dots, keys: Int[Tensor, "#B t C"]) -> tuple[Tensor, Tensor]:
    """Index of the key at each position, and whether there is one."""
    if dots.key_at is None:
        at = keys.clamp(0, dots.k.shape[2] - 1)
        return at, at == keys
    at = torch.searchsorted(dots.key_at, keys.contiguous()).clamp_max(len(dots.key_at) - 1)
    return at, dots.key_at[at] == keys


def gathered(x: Float[Tensor, "B G S *D"], at: Int[Tensor, "#B t C"]) -> Tensor:
    """Rows of x at some indexes, `[B, G, t, C, *D]`."""
    if len(at) == 1:
        return x[:, :, at[0]]
    return torch.stack([part[:, where] for part, where in zip(x, at, strict=True)])


def finished(dots: Dots, z: Tensor, rows: slice, at: Int[Tensor, "#B #t C"]) -> Tensor:
    """Dot products to logits: scale, cap, biases; in float64 from the biases on."""
    z = z * dots.scale
    if dots.softcap is not None:
        z = dots.softcap * (z / dots.softcap).tanh()
    z = z.double()
    if dots.query_bias is not None:
        z = z + dots.query_bias[:, :, rows, None] + gathered(dots.key_bias, at)
    return z


def weighed(
    dots: Dots, z: Tensor, lse: Tensor, keys: Int[Tensor, "#B #t C"], rows: slice, there: Tensor
) -> Float[Tensor, "B H t C"]:
    """exp(logit - lse) where the key is seen, else 0."""
    lag = dots.rows[rows][:, None] - keys
    seen = there & (lag >= 0)
    if dots.window is not None:
        seen = seen & ((lag < dots.window) | (keys < dots.sinks))
    if dots.start is not None:
        seen = seen & (keys >= dots.start[:, None, None])
    seen = seen[:, None]
    return (z.masked_fill(~seen, -torch.inf) - torch.where(lse.isinf(), 0, lse)[..., None]).exp()
