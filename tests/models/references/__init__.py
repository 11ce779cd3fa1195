"""Implementations that other people wrote, one entry per variant, found in the files beside this.

A file here holds REFERENCES: dict[str, Reference]; tests/models/test_reference.py does the rest.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.attention.contract import Mixer, Projected


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Somebody else's numbers for one variant; at least one of mix, pattern and layer."""

    mix: Callable[[Mixer, Projected], Tensor] | None = None  # A·v, [B, H, T, V], before readout
    pattern: Callable[[Mixer, Projected], Tensor] | None = None  # A, [B, H, T, S]
    layer: Callable[[Mixer, Tensor], Tensor] | None = None  # x to merge(readout(A·v)), [B, T, E]
    dtype: torch.dtype = torch.float64
    length: int = 70  # past a chunk of 64
    d_head: int = 6
    differentiable: bool = True  # False: theirs gives no gradient


def repeated(p: Projected) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v with every key/value head written out once per query head, [B, H, T, D]."""
    return p.q, each(p.k, p), each(p.v, p)


def each(x: Tensor, p: Projected) -> Tensor:
    """A key-side tensor [B, G, T, ...] written out once per query head."""
    return x.repeat_interleave(p.q.shape[1] // x.shape[1], 1)


def sequence_first(*tensors: Tensor) -> list[Tensor]:
    """[B, H, T, ...] to [B, T, H, ...], as flash-linear-attention has it."""
    return [x.transpose(1, 2) for x in tensors]


def all_references() -> dict[str, Reference]:
    """Every entry of every file beside this one."""
    found: dict[str, Reference] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= importlib.import_module(f"{__name__}.{module.name}").REFERENCES
    return found
