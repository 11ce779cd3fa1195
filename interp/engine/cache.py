"""Results by key, bounded in bytes, the least recently used going first."""

import dataclasses
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from interp.stats.sources import Source
from interp.subject import Kept

OVERHEAD = 512  # bytes charged for an entry that holds no arrays


class ByteCache:
    """A thread-safe LRU; an entry larger than the whole budget is not kept."""

    def __init__(self, budget: int) -> None:
        self.budget, self.used = budget, 0
        self.entries: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: str) -> Any | None:
        """The value, now the most recently used, or None."""
        with self.lock:
            if key not in self.entries:
                return None
            self.entries.move_to_end(key)
            return self.entries[key][0]

    def put(self, key: str, value: Any) -> None:
        """Keep a value, dropping the oldest others until it fits."""
        size = nbytes(value)
        with self.lock:
            if key in self.entries:
                self.used -= self.entries.pop(key)[1]
            if size > self.budget:
                return
            while self.used + size > self.budget:
                self.used -= self.entries.popitem(last=False)[1][1]
            self.entries[key] = value, size
            self.used += size


def nbytes(value: Any) -> int:
    """Bytes of the arrays and tensors a value holds, however nested, plus a little."""
    return OVERHEAD + held(value)


def held(value: Any) -> int:
    """Bytes of arrays inside a value."""
    if isinstance(value, np.ndarray | Kept | Source):
        return value.nbytes
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, str | bytes):
        return len(value)
    if dataclasses.is_dataclass(value):
        return sum(held(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(held(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(held(item) for item in value)
    return 0
