"""Forms in which a variant may offer its matrix, so that statistics are streamed from it.

A variant that is a softmax of dot products has a method `dots`, one that is a linear recurrence a
method `recurrence`. Whoever has neither is still streamed, through `pattern` or `mix`, more slowly.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.attention.contract import Projected, repeat_groups


@dataclass(frozen=True, kw_only=True)
class Dots:
    """A = softmax over visible keys of cap(scale · q·k) + query_bias_i + key_bias_j.

    A query at position i sees the keys at positions j <= i that lie in its window or among the
    first `sinks`, and not before `start`. Rows that see no key are rows of zeros. cap(x) is
    softcap · tanh(x / softcap), or x. With `sink` each row has one more logit, of a virtual key,
    and sums to less than one.
    """

    q: Float[Tensor, "B H T D"]
    k: Float[Tensor, "B G S D"]
    scale: float
    softcap: float | None = None
    window: int | None = None  # the query's own key and the window - 1 before it
    sinks: int = 0  # first keys that every query sees, whatever the window
    query_bias: Float[Tensor, "B H T"] | None = None  # float64: differences of long sums
    key_bias: Float[Tensor, "B H S"] | None = None  # given together with query_bias
    sink: Float[Tensor, "B H T"] | None = None
    start: Int[Tensor, " B"] | None = None  # position of the first key that is no padding
    query_at: Int[Tensor, " T"] | None = None  # rising; None: the last query is at the last key
    key_at: Int[Tensor, " S"] | None = None  # rising; None: 0, 1, 2, ...

    def __post_init__(self) -> None:
        if self.q.shape[1] % self.k.shape[1]:
            raise ValueError(
                f"{self.q.shape[1]} query heads cannot share {self.k.shape[1]} key heads evenly"
            )
        if (self.query_bias is None) != (self.key_bias is None):
            raise ValueError("query_bias and key_bias come together; give both or neither")
        if self.window is not None and self.window < 1:
            raise ValueError(f"a window holds the query's own key at least, got {self.window}")

    @property
    def rows(self) -> Int[Tensor, " T"]:
        """Position of every query."""
        if self.query_at is not None:
            return self.query_at
        last = self.k.shape[2] if self.key_at is None else int(self.key_at[-1]) + 1
        return torch.arange(last - self.q.shape[2], last, device=self.q.device)

    @property
    def keys(self) -> Int[Tensor, " S"]:
        """Position of every key."""
        if self.key_at is not None:
            return self.key_at
        return torch.arange(self.k.shape[2], device=self.k.device)

    def visible(self) -> Bool[Tensor, "#B 1 T S"]:
        """True where a query may read a key; dense, for the truth and for small parts."""
        lag = self.rows[:, None] - self.keys
        seen = lag >= 0
        if self.window is not None:
            seen = seen & ((lag < self.window) | (self.keys < self.sinks))
        seen = seen[None, None]
        if self.start is not None:
            seen = seen & (self.keys >= self.start[:, None, None, None])
        return seen

    def logits(self) -> Float[Tensor, "B H T S"]:
        """Dense logits with minus infinity at keys that are not seen."""
        z = self.q @ repeat_groups(self.k, self.q.shape[1]).mT * self.scale
        if self.softcap is not None:
            z = self.softcap * (z / self.softcap).tanh()
        if self.query_bias is not None:
            z = z + (self.query_bias[..., None] + self.key_bias[..., None, :]).to(z.dtype)
        return z.masked_fill(~self.visible(), -torch.inf)

    def weights(self) -> Float[Tensor, "B H T S"]:
        """The dense matrix, as applied."""
        z = self.logits()
        if self.sink is not None:
            z = torch.cat([z, self.sink[..., None].to(z.dtype)], -1)
        top = z.amax(-1, keepdim=True).clamp_min(torch.finfo(z.dtype).min)
        w = (z - top).exp()
        w = w / w.sum(-1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
        return w[..., : self.k.shape[2]]

    def part(self, rows: slice, keys: slice, heads: slice = slice(None)) -> "Dots":
        """Some queries, keys and query heads, each at the position it had."""
        h = self.q.shape[1]

        def of(x: Tensor | None, where: slice) -> Tensor | None:
            return None if x is None else x[:, heads, where]

        whole = heads == slice(None)
        k = self.k if whole else repeat_groups(self.k, h)[:, heads]
        return replace(
            self,
            q=self.q[:, heads, rows],
            k=k[:, :, keys],
            query_bias=of(self.query_bias, rows),
            key_bias=of(self.key_bias, keys),
            sink=of(self.sink, rows),
            query_at=self.rows[rows],
            key_at=self.keys[keys],
        )


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """A_ij = q_i · G_i G_{i-1} ... G_{j+1} k_j, with G_t = diag(exp(g_t)) + b_t a_tᵀ.

    It is the matrix of the memory S_t = G_t S_{t-1} + k_t v_tᵀ read by q_t. Without g and a, b the
    memory only grows. With several keys per token (k, g, a and b longer than q) a query reads
    after its token's last one. With `own` a query reads before its token fades and writes,
    A_ij = q_i · G_{i-1} ... G_{j+1} k_j for j < i, and own_i stands on the diagonal.
    """

    q: Float[Tensor, "B H T F"]  # what divides a row is divided into it
    k: Float[Tensor, "B G S F"]  # query heads may share keys, as they share a and b
    g: Float[Tensor, "#B N S 1"] | Float[Tensor, "#B N S F"] | None = None  # logarithms, at most 0
    a: Float[Tensor, "B G S F"] | None = None
    b: Float[Tensor, "B G S F"] | None = None
    own: Float[Tensor, "B H T"] | None = None

    def __post_init__(self) -> None:
        if self.k.shape[2] % self.q.shape[2]:
            raise ValueError(
                f"{self.k.shape[2]} keys are no multiple of {self.q.shape[2]} queries; "
                "give every token the same number of keys"
            )
        if (self.a is None) != (self.b is None):
            raise ValueError("a and b make one low rank term; give both or neither")


@runtime_checkable
class DotForm(Protocol):
    """A mixer whose matrix is a softmax of dot products."""

    def dots(self, p: Projected) -> Dots:
        """What `pattern(p)` is the softmax of."""
        ...


@runtime_checkable
class RecurrentForm(Protocol):
    """A mixer whose matrix is that of a linear recurrence."""

    def recurrence(self, p: Projected) -> Recurrence:
        """The recurrence whose matrix is `pattern(p)`."""
        ...
