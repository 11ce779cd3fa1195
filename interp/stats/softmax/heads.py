"""Queries and keys of some heads, made ready for the products of tiles.

Logits are kept in units of ln 2, because exp2 costs a third of exp on some processors.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.forms import Dots

LN2 = math.log(2)


@dataclass(frozen=True, eq=False)
class Heads:
    """What one thread works on: some slices of batch and head, keys turned for the product."""

    q: Float[Tensor, "N T D"]
    k: Float[Tensor, "G D S"]  # each for as many neighbours among the queries
    dots: Dots
    where: slice  # of batch · heads
    sink: Float[Tensor, "N T"] | None
    query_bias: Float[Tensor, "N T"] | None
    key_bias: Float[Tensor, "N S"] | None
    norms: Float[Tensor, "N S"] | None

    @staticmethod
    def of(dots: Dots, where: slice, norms: Tensor | None, kind: torch.dtype) -> "Heads":
        """Slices `where` of all batch · heads, computed in `kind`."""
        h, g = dots.q.shape[1], dots.k.shape[1]

        def of(x: Tensor | None) -> Tensor | None:
            return None if x is None else slices(x, where)

        share = h // g
        if where.start % share or where.stop % share:
            share = 1
        at = (divmod(x, h) for x in range(where.start, where.stop, share))
        sink, norms = of(dots.sink), of(norms)
        return Heads(
            q=of(dots.q),
            k=torch.stack([dots.k[batch, head * g // h].to(kind).mT for batch, head in at]),
            dots=dots,
            where=where,
            sink=None if sink is None else sink.to(kind) / LN2,
            query_bias=of(dots.query_bias),
            key_bias=of(dots.key_bias),
            norms=None if norms is None else norms.to(kind),
        )

    def queries(self, rows: slice) -> Float[Tensor, "G M D"]:
        """Some queries with all factors of the logits in them; heads that share keys are joined."""
        factor = self.dots.scale / (LN2 if self.dots.softcap is None else self.dots.softcap)
        q = self.q[:, rows].to(self.k.dtype) * factor
        return q.reshape(len(self.k), -1, q.shape[-1])

    def scores(self, q: Float[Tensor, "G M D"], rows: slice, keys: slice, out: Tensor) -> None:
        """Logits in units of ln 2 of one tile."""
        torch.bmm(q, self.k[..., keys], out=out.view(*q.shape[:2], -1))
        if self.dots.softcap is not None:
            out.tanh_().mul_(self.dots.softcap / LN2)
        if self.query_bias is not None:
            # Long sums whose difference is small: taken in float64, entry by entry.
            bias = self.query_bias[:, rows, None] + self.key_bias[:, None, keys]
            out.add_(bias.mul_(1 / LN2))


def slices(x: Float[Tensor, "B H ..."], where: slice) -> Float[Tensor, "N ..."]:
    """Some slices of batch · heads; a view where they are of one batch."""
    heads = x.shape[1]
    batch, first = divmod(where.start, heads)
    last = first + where.stop - where.start
    if last <= heads:
        return x[batch, first:last]
    places = (divmod(at, heads) for at in range(where.start, where.stop))
    return torch.stack([x[place] for place in places])
