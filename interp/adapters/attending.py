"""Attention for transformers models that shows q, k and v of every layer and makes no n x n mask.

transformers hands the attention of most models to a function registered by name, after rotary
positions, and asks another for the mask. Ours answers with a rule in place of a mask, lets whoever
watches this thread's run see the layer, and returns the exact output in O(n) memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from interp.subject import Refused
from models.attention.contract import repeat_groups
from models.forms import Dots

NAME = "headlamp_attending"
LOGITS_AT_ONCE = 2**21  # entries of a dense part of a layer's logits: 8 MiB in float32
ROWS_TO_TRY = 16

Attended = Callable[[int, Dots, Float[Tensor, "B G S D"]], None]
# Per thread, since a context variable of one thread is not seen by another.
WATCHING: ContextVar[Attended | None] = ContextVar("headlamp_attending", default=None)


@dataclass(frozen=True)
class Band:
    """What a row may see where that is less than all keys before it: stands in for a mask."""

    window: int  # the row's own key and the window - 1 before it


def use(model: Any) -> None:
    """Let a transformers model attend through `attention`; does nothing to families that cannot."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.utils import logging

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, rule)
    loudness = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns about the families that cannot; we find out ourselves
    try:
        model.set_attn_implementation(NAME)
    finally:
        logging.set_verbosity(loudness)


@contextmanager
def watched(attended: Attended) -> Iterator[None]:
    """For the time of this block, show this thread's layers to `attended`."""
    token = WATCHING.set(attended)
    try:
        yield
    finally:
        WATCHING.reset(token)


def rule(
    *,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., Tensor],
    attention_mask: Tensor | None = None,
    local_size: int | None = None,
    use_vmap: bool = False,
    **_: object,
) -> Band | None:
    """None for a causal mask, a Band for a window; raises Refused for any other.

    The function that would fill the mask is asked about some rows only, spread over the prompt.
    """
    if use_vmap or q_length != kv_length or not (attention_mask is None or attention_mask.all()):
        raise Refused(
            "This model masks keys by a rule of its own; its matrices cannot be streamed."
        )
    rows = torch.linspace(0, q_length - 1, min(q_length, ROWS_TO_TRY)).round().long()
    keys, zero = torch.arange(kv_length), torch.zeros((1, 1, 1, 1), dtype=torch.long)
    seen = mask_function(zero, zero, rows[None, None, :, None], keys[None, None, None])
    lag = rows[:, None] - keys
    expected = (lag >= 0) & (lag < (local_size or kv_length))
    if not torch.equal(seen.expand(1, 1, *expected.shape)[0, 0], expected):
        raise Refused(
            f"This model masks keys by a rule that is no window of {local_size} tokens; "
            "its matrices cannot be streamed."
        )
    return None if local_size is None else Band(local_size)


def attention(
    module: torch.nn.Module,
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B G T D"],
    value: Float[Tensor, "B G T E"],
    attention_mask: Band | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Float[Tensor, " H"] | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "B T H E"], None]:
    """What transformers calls in every layer; raises Refused for logits Dots cannot say."""
    layer, (b, h, t, d) = module.layer_idx, query.shape
    whole = isinstance(attention_mask, Tensor) or position_bias is not None
    if whole or not getattr(module, "is_causal", True):
        raise Refused(f"Layer {layer} has a mask or bias of its own and cannot be streamed.")
    window = None if attention_mask is None or attention_mask.window >= t else attention_mask.window
    dots = Dots(
        q=query,
        k=key,
        scale=d**-0.5 if scaling is None else scaling,
        softcap=softcap,
        window=window,
        sink=None if s_aux is None else s_aux[:, None].expand(b, h, t),
    )
    watch = WATCHING.get()
    if watch is not None:
        watch(layer, dots, value)
    return output(dots, value).transpose(1, 2).contiguous(), None


def output(dots: Dots, v: Float[Tensor, "B G S E"]) -> Float[Tensor, "B H T E"]:
    """A @ v in O(n) memory: by torch's kernel where it knows the form, else some rows at a time."""
    plain = dots.softcap is None and dots.sink is None and dots.window is None
    if not plain or dots.k.shape[-1] != v.shape[-1]:
        return by_rows(dots, v)
    k, grouped = dots.k, v.shape[1] != dots.q.shape[1]
    if grouped and v.device.type != "cpu":  # in float32 no GPU kernel shares keys without n² memory
        k, v, grouped = repeat_groups(k, dots.q.shape[1]), repeat_groups(v, dots.q.shape[1]), False
    return F.scaled_dot_product_attention(
        dots.q, k, v, is_causal=True, scale=dots.scale, enable_gqa=grouped
    )


def by_rows(dots: Dots, v: Float[Tensor, "B G S E"]) -> Float[Tensor, "B H T E"]:
    """The same from dense parts of so many rows that their logits stay small.

    A part of s rows has s + reach keys at most, which fixes s.
    """
    b, h, t, _ = dots.q.shape
    reach, entries = min(t, dots.window or t), LOGITS_AT_ONCE / (b * h)
    step = max(1, int((sqrt(reach**2 + 4 * entries) - reach) / 2))
    parts = []
    for start in range(0, t, step):
        rows = slice(start, min(t, start + step))
        keys = slice(max(0, start - reach + 1), rows.stop)
        parts.append(dots.part(rows, keys).weights() @ repeat_groups(v[:, :, keys], h))
    return torch.cat(parts, 2)
