"""Numbers of the Variants page: effective keys, what an estimate misses, and the proof."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.nulls import mean_interval
from interp.probes.concentration import FIRST_ROW
from interp.result import Figure
from interp.stats.head_stats import HeadStats


def effective(stats: HeadStats) -> Float[Tensor, "B H T"]:
    """n_eff = (Σ|a|)² / Σa²; NaN for a row of zeros."""
    return stats.every.participation


def spread(stats: HeadStats) -> Float[Tensor, "B H T"]:
    """S(a) = E|a| / √E[a²] over the keys a row can see."""
    visible = torch.arange(1, stats.row_sum.shape[-1] + 1)
    return (effective(stats) / visible).sqrt()


def over_heads(stats: list[HeadStats], exact: bool, seed: int) -> Figure:
    """Effective keys of the whole layer: the mean over rows and heads of each draw."""
    rows = np.stack([effective(s)[0].numpy() for s in stats], -1)[:, FIRST_ROW:]
    value, low, high, n = mean_interval(np.nanmean(rows, (0, 1))[None, None], 1, seed)
    return Figure(
        key="effective",
        title="Effective keys, all heads",
        unit="keys",
        provenance="derived" if exact else "estimator",
        definition=f"Mean of (Σ|a|)² / Σa² over heads and over rows from {FIRST_ROW} on.",
        value=float(value[0, 0]),
        low=float(low[0, 0]),
        high=float(high[0, 0]),
        n=int(n[0, 0]),
        n_of="draws of weights and input (bootstrap over draws)",
        null=(FIRST_ROW + 1 + stats[0].row_sum.shape[-1]) / 2,
        null_name="uniform causal attention",
    )


def miss(misses: list[Tensor], seed: int) -> tuple[Figure, ...]:
    """How far an estimator's matrix is from the one it estimates; nothing for exact variants."""
    if not misses:
        return ()
    samples = torch.stack(misses).numpy()[None, None]
    value, low, high, n = mean_interval(samples, 1, seed)
    return (
        Figure(
            key="miss",
            title="Distance of the estimate from the matrix it estimates",
            unit="of that matrix's norm",
            provenance="measured",
            definition="|A - softmax| / |softmax|, Frobenius norms, mean over heads.",
            value=float(value[0, 0]),
            low=float(low[0, 0]),
            high=float(high[0, 0]),
            n=int(n[0, 0]),
            n_of="draws of weights, input and estimator (bootstrap over draws)",
            null=None,
        ),
    )


def proof(error: float, n: int, length: int) -> Figure:
    """How far pattern·v is from mix, at worst."""
    return Figure(
        key="proof",
        title="Largest difference between pattern·v and mix",
        unit="of the largest output",
        provenance="measured",
        definition=(
            "max |A·v - mix| / max |mix| in float64, over all heads, tokens and draws; a maximum "
            "has no interval."
        ),
        value=error,
        low=error,
        high=error,
        n=n,
        n_of=f"draws of weights and {length} random input vectors",
        null=None,
    )
