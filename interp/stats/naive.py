"""The slow truth: every statistic as its definition, on an explicit matrix, in float64."""

from dataclasses import fields, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.row_state import Spread
from interp.stats.wanted import Wanted
from models.forms import Dots


def naive(dots: Dots, wanted: Wanted, norms: Float[Tensor, "B H S"] | None = None) -> HeadStats:
    """Statistics of a softmax of dot products, from its whole matrix; O(n²) memory."""
    exact = widened(dots)
    z = exact.logits()
    if exact.sink is not None:
        z = torch.cat([z, exact.sink[..., None]], -1)
    seen = dots.visible().expand(len(dots.q), 1, -1, -1)
    return of_matrix(exact.weights(), wanted, dots.rows, dots.keys, seen, z.logsumexp(-1), norms)


def widened(dots: Dots) -> Dots:
    """The same in float64."""
    parts = {f.name: getattr(dots, f.name) for f in fields(dots)}
    return replace(
        dots,
        **{
            name: x.double()
            for name, x in parts.items()
            if isinstance(x, Tensor) and x.is_floating_point()
        },
    )


def of_matrix(
    a: Float[Tensor, "B H T S"],
    wanted: Wanted,
    rows: Int[Tensor, " T"],
    keys: Int[Tensor, " S"],
    seen: Bool[Tensor, "B 1 T S"],
    lse: Float[Tensor, "B H T"] | None = None,
    norms: Float[Tensor, "B H S"] | None = None,
) -> HeadStats:
    """Statistics of an explicit matrix whose entries that are not seen are zero."""
    a = a.double()
    w, c = a.abs(), wanted
    lag = rows[:, None] - keys
    return HeadStats(
        visible=seen[:, 0].sum(-1),
        row_sum=a.sum(-1),
        every=spread(w, c),
        rest=spread(torch.where(keys >= c.apart, w, 0), c) if c.apart else None,
        lse=lse,
        distance=(w * lag).sum(-1) if c.distance else None,
        argmax=largest(a, seen, keys, 1)[0][..., 0] if c.argmax else None,
        top_keys=largest(a, seen, keys, c.top)[0] if c.top else None,
        top_weights=largest(a, seen, keys, c.top)[1] if c.top else None,
        columns=picked(a, keys, torch.tensor(c.columns).expand(len(rows), -1)[None])
        if c.columns
        else None,
        offsets=picked(a, keys, (rows[:, None] - torch.tensor(c.offsets))[None])
        if c.offsets
        else None,
        targets=None
        if c.targets is None
        else picked(a, keys, c.targets[..., None].expand(len(a), -1, 1))[..., 0],
        lags=torch.stack([(a * (lag == x)).sum((-1, -2)) for x in range(int(rows[-1]) + 1)], -1)
        if c.lags
        else None,
        received=a.sum(-2) if c.received else None,
        block_sum=blocks(a, rows, keys, c.block)[0] if c.block else None,
        block_peak=blocks(a, rows, keys, c.block)[1] if c.block else None,
        valued=(w * norms[:, :, None].double()).sum(-1) if c.valued else None,
    )


def spread(w: Float[Tensor, "B H T S"], wanted: Wanted) -> Spread:
    """Sums over the last axis."""
    return Spread(
        mass=w.sum(-1),
        peak=w.amax(-1),
        log=torch.special.xlogy(w, w).sum(-1) if wanted.entropy else None,
        square=w.square().sum(-1) if wanted.square else None,
    )


def largest(
    a: Tensor, seen: Tensor, keys: Tensor, n: int
) -> tuple[Int[Tensor, "B H T n"], Float[Tensor, "B H T n"]]:
    """The n keys of largest |A| of every row, and their A; -1 and 0 where a row has fewer."""
    w = torch.where(seen, a.abs(), -1.0)
    w = F.pad(w, (0, max(0, n - w.shape[-1])), value=-1.0)
    high, where = w.topk(n, -1)
    there = high > 0
    keys = F.pad(keys, (0, w.shape[-1] - len(keys)))
    signed = F.pad(a, (0, w.shape[-1] - a.shape[-1])).gather(-1, where)
    return torch.where(there, keys[where], -1), torch.where(there, signed, 0)


def picked(
    a: Float[Tensor, "B H T S"], keys: Int[Tensor, " S"], at: Int[Tensor, "#B T C"]
) -> Float[Tensor, "B H T C"]:
    """A at the keys that stand at the given positions; 0 where there is no such key."""
    hit = at[..., None] == keys
    return torch.einsum("bhts,btcs->bhtc", a, hit.expand(len(a), -1, -1, -1).to(a.dtype))


def blocks(
    a: Tensor, rows: Tensor, keys: Tensor, side: int
) -> tuple[Float[Tensor, "B H I J"], Float[Tensor, "B H I J"]]:
    """Sum and strongest entry of every block of side x side tokens."""
    n_i, n_j = int(rows[-1]) // side + 1, int(keys[-1]) // side + 1
    total = a.new_zeros(*a.shape[:2], n_i, n_j)
    peak = torch.zeros_like(total)
    for i in range(n_i):
        for j in range(n_j):
            part = a[..., rows // side == i, :][..., keys // side == j].flatten(-2)
            if not part.shape[-1]:
                continue
            total[..., i, j] = part.sum(-1)
            at = part.abs().argmax(-1, keepdim=True)
            peak[..., i, j] = part.gather(-1, at)[..., 0]
    return total, peak
