"""Causal linear attention, chunk by chunk or token by token: memory O(T · CHUNK), time O(T)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import State, repeat_groups

CHUNK = 64  # rows handled at once


def chunks(x: Float[Tensor, "B N T *D"], size: int = CHUNK) -> Float[Tensor, "B N C size *D"]:
    """Axis 2 in chunks; the last one is filled up with zeros."""
    tail = -x.shape[2] % size
    return F.pad(x, (0, 0) * (x.ndim - 3) + (0, tail)).unflatten(2, (-1, size))


def causal(scores: Float[Tensor, "B H T S"]) -> Float[Tensor, "B H T S"]:
    """Zeros at future keys; the last query stands at the last key."""
    return scores.tril(scores.shape[-1] - scores.shape[-2])


def linear_mix(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], v: Float[Tensor, "B G T V"]
) -> Float[Tensor, "B H T V"]:
    """tril(q kᵀ) v, for features q and k of any width F."""
    h, t = q.shape[1:3]
    q, k, v = chunks(q), chunks(repeat_groups(k, h)), chunks(repeat_groups(v, h))
    state = (k.mT @ v).cumsum(2)
    before = F.pad(state[:, :, :-1], (0, 0, 0, 0, 1, 0))  # the sum over earlier chunks
    return (q @ before + (q @ k.mT).tril() @ v).flatten(2, 3)[:, :, :t]


def linear_flops(t: int, n_heads: int, n_features: int, d_value: int) -> int:
    """Of `linear_mix` over t tokens, t a multiple of 64."""
    return 2 * t * n_heads * (2 * n_features * d_value + CHUNK * (n_features + d_value))


def normalised_mix(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"], v: Float[Tensor, "B G T V"]
) -> Float[Tensor, "B H T V"]:
    """The same divided by the row sums of tril(q kᵀ): a column of ones carries them along."""
    return normalise(linear_mix(q, k, with_ones(v)))


def normalise_rows(scores: Float[Tensor, "B H T S"]) -> Float[Tensor, "B H T S"]:
    """Rows that sum to 1; a row of zeros, where features underflow, stays a row of zeros."""
    return scores / at_least_tiny(scores.sum(-1, keepdim=True))


def over_row_sums(
    q: Float[Tensor, "B H T F"], k: Float[Tensor, "B G T F"]
) -> Float[Tensor, "B H T F"]:
    """q divided by the row sums of tril(q kᵀ), so that tril(q kᵀ) is the normalised matrix."""
    seen = repeat_groups(k.cumsum(2), q.shape[1])
    return q / at_least_tiny((q * seen).sum(-1, keepdim=True))


def with_ones(v: Float[Tensor, "B G T V"]) -> Float[Tensor, "B G T V1"]:
    """The values with a column of ones behind them."""
    return F.pad(v, (0, 1), value=1)


def normalise(z: Float[Tensor, "B H T V1"]) -> Float[Tensor, "B H T V"]:
    """All columns but the last, divided by the last."""
    return z[..., :-1] / at_least_tiny(z[..., -1:])


def at_least_tiny(x: Tensor) -> Tensor:
    """Turns 0/0 into 0 and changes nothing else."""
    return x.clamp_min(torch.finfo(x.dtype).tiny)


def linear_step(
    q: Float[Tensor, "B H 1 F"],
    k: Float[Tensor, "B G 1 F"],
    v: Float[Tensor, "B G 1 V"],
    state: State | None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token: S += k vᵀ, output qᵀ S."""
    memory = k.mT @ v if state is None else state["memory"] + k.mT @ v
    return q @ repeat_groups(memory, q.shape[1]), {"memory": memory}
