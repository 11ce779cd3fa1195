"""What every attention variant offers: the matrix it applies, and a fast road to the same result.

Shape letters, used in the whole repository:
B batch, H query heads, G key/value heads, T queries, S keys, D head width, E model width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The widths of one attention layer."""

    d_model: int  # E, width of the residual stream
    n_heads: int  # H, query heads
    n_kv_heads: int  # G, key/value heads: G = H is MHA, 1 < G < H is GQA, G = 1 is MQA

    def __post_init__(self) -> None:
        if min(self.d_model, self.n_heads, self.n_kv_heads) < 1:
            raise ValueError(f"widths and head counts must be positive, got {self}")
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}; "
                "choose a width that splits evenly over the heads"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads={self.n_heads} is not a multiple of n_kv_heads={self.n_kv_heads}; "
                "every key/value head must serve the same number of query heads"
            )

    @property
    def d_head(self) -> int:
        """D, the width of one head."""
        return self.d_model // self.n_heads


@dataclass(frozen=True)
class Projected:
    """What a mixer computes from x before any position mixes with another."""

    q: Float[Tensor, "B H T D"]
    k: Float[Tensor, "B G S D"]
    v: Float[Tensor, "B G S D"]
    # What only some variants need (write strength, decay, gates); the key names the tap.
    extra: Mapping[str, Float[Tensor, "..."]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a probe must know of a variant's matrix before it reads it."""

    row_stochastic: bool  # every row sums to 1
    nonnegative: bool  # no negative entry, so shares and entropies mean something
    exact: bool = True  # False: the matrix estimates another one (Performer)
    linear_in_v: bool = True  # A does not depend on v, so A can be read off by v = identity
    sink_slot: bool = False  # 1 - row sum is a weight on a virtual key with value zero
    logits: bool = False  # hook_attn_scores holds softmax logits: minus infinity masks a key
    # Numbers kept per layer and sequence to decode token t, given the widths and t.
    cache_elements: Callable[[HeadConfig, int], int]


@runtime_checkable
class Mixer(Protocol):
    """One attention variant: pure maths, no hooks, no device names.

    Law, tested for every registry entry in value and gradient:
    `pattern(p) @ values(p) == mix(p)`, and `pattern` is zero above the diagonal.
    """

    traits: Traits
    W_O: Float[Tensor, "H D E"]

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        """q, k, v and the variant's extras; positions are not applied yet."""
        ...

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """The causally masked matrix before it is normalised (`hook_attn_scores`)."""
        ...

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        """Scores to the matrix that is applied, so that edited scores stay causal."""
        ...

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        """The matrix, exactly as applied: `weigh(scores(p), p)`."""
        ...

    def mix(self, p: Projected) -> Float[Tensor, "B H T D"]:
        """The fast road: `pattern(p) @ values(p)` without building the matrix."""
        ...

    def merge(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        """All that stands after A·v."""
        ...


def values(p: Projected) -> Float[Tensor, "B H S D"]:
    """The values that the matrix multiplies, one row of keys per query head."""
    return repeat_groups(p.v, p.q.shape[1])


def repeat_groups(x: Float[Tensor, "B G *rest"], n_heads: int) -> Float[Tensor, "B H *rest"]:
    """Repeat key/value heads so that head h finds its group's copy at index h."""
    return x.repeat_interleave(n_heads // x.shape[1], dim=1)


def causal_mask(n_queries: int, n_keys: int, device: torch.device) -> Bool[Tensor, "T S"]:
    """True where key j may be read by query i, that is j <= i."""
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril()
