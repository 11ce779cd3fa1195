"""One head's matrix as a Result, so that it can be kept and computed again."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from interp.exhibits import Heat
from interp.result import Result
from interp.subject import Card

PIXELS = 512  # rows of a Heat, at most: more would be less than a pixel each


def matrix_result(
    card: Card,
    ids: Sequence[int],
    tokens: Sequence[str],
    here: tuple[int, int],
    pattern: Float[np.ndarray, "T T"],
) -> Result:
    """The matrix of head `here` = (layer, head) on a prompt, with its tokens."""
    layer, head = here
    return Result(
        probe="attention-matrix",
        model=card.name,
        digest=card.digest,
        device=card.device,
        request={"ids": list(ids), "layer": layer, "head": head},
        scores=(),
        heats=(matrix(pattern, tokens, f"L{layer}H{head}", not card.reads_shares),),
    )


def matrix(
    pattern: Float[np.ndarray, "T T"], tokens: Sequence[str], head: str, signed: bool
) -> Heat:
    """The matrix with its tokens; a long one in blocks, the strongest weight of each."""
    stride = -(-len(pattern) // PIXELS)
    names = tuple(f"{i * stride} {token}".rstrip() for i, token in enumerate(tokens[::stride]))
    small = np.asarray(pooled(pattern, stride), np.float64)
    blocks = f" Each cell is the strongest of {stride} x {stride} weights." if stride > 1 else ""
    return Heat(
        key="matrix",
        title=f"Attention matrix of {head}",
        row_title="query token",
        column_title="key token",
        rows=names,
        columns=names,
        unit="weight",
        provenance="measured",
        definition=f"The matrix that the head applies on this prompt.{blocks}",
        source="Definition of each variant's matrix: models/README.md",
        value=small,
        low=np.full_like(small, np.nan),
        high=np.full_like(small, np.nan),
        n=len(tokens),
        n_of="tokens of one prompt",
        nulls={},
        signed=signed,
        note="Entries are read off one forward pass: they have no interval, and nulls stand "
        "beside the head's scores.",
    )


def pooled(pattern: Float[np.ndarray, "T T"], stride: int) -> Float[np.ndarray, "P P"]:
    """The strongest weight of each stride x stride block, sign kept."""
    if stride == 1:
        return pattern
    pad = -len(pattern) % stride
    blocks = np.pad(pattern, (0, pad)).reshape((len(pattern) + pad) // stride, stride, -1, stride)
    high, low = blocks.max((1, 3)), blocks.min((1, 3))
    return np.where(high >= -low, high, low)
