"""Largest keys and lags, in strips of logits on the device: an order is no sum over tiles."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.wanted import Wanted
from models.forms import Dots

ENTRIES = 2**23  # logits held at once


@dataclass(frozen=True, eq=False)
class Strip:
    """Logits of some rows of one head, before every key that the last of them may see."""

    head: int
    rows: slice
    logits: Float[Tensor, "B R C"]
    lse: Float[Tensor, "B R"]
    at: Int[Tensor, " R"]
    keys: Int[Tensor, " C"]

    @property
    def weights(self) -> Float[Tensor, "B R C"]:
        """A."""
        return (self.logits - torch.where(self.lse.isinf(), 0, self.lse)[..., None]).exp()


def strips(dots: Dots, lse: Float[Tensor, "B H T"]) -> Iterator[Strip]:
    """All rows of all heads; products are float32, whatever the inputs are."""
    b, h, t, _ = dots.q.shape
    group = h // dots.k.shape[1]
    at, keys = dots.rows, dots.keys.contiguous()
    step = max(1, ENTRIES // (b * max(1, len(keys))))
    for first in range(0, t, step):
        rows = slice(first, min(first + step, t))
        seen = slice(0, int(torch.searchsorted(keys, at[rows.stop - 1], right=True)))
        for head in range(h):
            one = slice(head, head + 1)
            # One key head, so that grouped heads make no copies of it.
            alone = replace(
                dots,
                q=dots.q[:, one],
                k=dots.k[:, head // group, None],
                query_bias=of(dots.query_bias, one),
                key_bias=of(dots.key_bias, one),
                sink=None,
            )
            part = alone.part(rows, seen)
            part = replace(part, q=part.q.float(), k=part.k.float())
            yield Strip(head, rows, part.logits()[:, 0], lse[:, head, rows], at[rows], keys[seen])


def of(bias: Tensor | None, heads: slice) -> Tensor | None:
    """A bias of some heads."""
    return None if bias is None else bias[:, heads]


def ordered(
    dots: Dots, wanted: Wanted, lse: Float[Tensor, "B H T"]
) -> dict[str, Float[Tensor, "..."] | Int[Tensor, "..."]]:
    """argmax, top_keys, top_weights and lags, those that are wanted."""
    n = max(wanted.top, int(wanted.argmax))
    if not (n or wanted.lags):
        return {}
    b, h, t, _ = dots.q.shape
    like = {"device": dots.q.device}
    keys = torch.full((b, h, t, n), -1, **like)
    weights = torch.zeros(b, h, t, n, **like)
    lags = torch.zeros(b, h, int(dots.rows[-1]) + 1, **like)
    for strip in strips(dots, lse):
        if n:
            most = min(n, len(strip.keys))
            where, high = largest(strip, most)
            keys[:, strip.head, strip.rows, :most] = where
            weights[:, strip.head, strip.rows, :most] = high.float()
        if wanted.lags:
            lags[:, strip.head] += by_lag(strip, lags.shape[-1])
    found = {"argmax": keys[..., 0]} if wanted.argmax else {}
    if wanted.top:
        found |= {"top_keys": keys, "top_weights": weights}
    return found | ({"lags": lags} if wanted.lags else {})


def largest(strip: Strip, n: int) -> tuple[Int[Tensor, "B R n"], Float[Tensor, "B R n"]]:
    """Positions and weights of the n keys of largest logit; -1 and 0 where a row sees fewer."""
    if not n:
        return strip.logits[..., :0].long(), strip.logits[..., :0]
    high, where = strip.logits.topk(n, -1)
    there = high > -torch.inf
    weight = (high - torch.where(strip.lse.isinf(), 0, strip.lse)[..., None]).exp()
    return torch.where(there, strip.keys[where], -1), weight.masked_fill(~there, 0)


def by_lag(strip: Strip, n: int) -> Float[Tensor, "B L"]:
    """Sums along diagonals, gathered and not scattered: the same on every run."""
    dense = torch.zeros(*strip.logits.shape[:2], n, device=strip.at.device)
    shown = strip.keys < n
    dense[..., strip.keys[shown]] = strip.weights[..., shown].float()
    at = strip.at[:, None] - torch.arange(n, device=strip.at.device)
    skewed = dense.gather(-1, at.clamp_min(0).expand_as(dense))
    return torch.where(at >= 0, skewed, 0).sum(1)
