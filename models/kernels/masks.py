"""Softmax under masks that hide most keys: time and memory for the visible part alone."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.attention.contract import State
from models.kernels.linear import chunks


def at_least_one(**sizes: int) -> None:
    """Raises ValueError for a size below one."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def places(
    n_queries: int, n_keys: int, device: torch.device
) -> tuple[Int[Tensor, "T 1"], Int[Tensor, " S"]]:
    """Token numbers of rows and columns, counted from the first key."""
    tokens = torch.arange(n_keys, device=device)
    return tokens[n_keys - n_queries :, None], tokens


def fold(x: Float[Tensor, "B N C W D"]) -> Float[Tensor, "BC N W D"]:
    """Chunks become rows of the batch, so that stock kernels take each one by itself."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold(x: Float[Tensor, "BC N W D"], batch: int, length: int) -> Float[Tensor, "B N T D"]:
    """Undoes `fold`, and drops what filled up the last chunk."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)[:, :, :length]


def with_before(x: Float[Tensor, "B N T D"], width: int) -> Float[Tensor, "B N C W2 D"]:
    """Each chunk behind the chunk before it: all that a window of `width` keys can reach."""
    own = chunks(x, width)
    return torch.cat([F.pad(own[:, :, :-1], (0, 0, 0, 0, 1, 0)), own], 3)


def band(n_chunks: int, width: int, device: torch.device) -> Bool[Tensor, "C W W2"]:
    """Where a row of a chunk may read a key of `with_before`: at lags 0 to width - 1."""
    rows, keys = torch.arange(width, device=device), torch.arange(2 * width, device=device)
    lag = width + rows[:, None] - keys
    there = (torch.arange(n_chunks, device=device) > 0)[:, None, None] | (keys >= width)
    return (lag >= 0) & (lag < width) & there  # before the first chunk there is nothing


def window_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    window: int,
) -> Float[Tensor, "B H T V"]:
    """Softmax attention over the last `window` keys, the query's own among them, in O(T · window).

    Chunks as long as the window go through stock fused attention, each with the chunk before it.
    """
    batch, t = len(q), q.shape[2]
    width = min(window, t)
    q, k, v = fold(chunks(q, width)), fold(with_before(k, width)), fold(with_before(v, width))
    visible = band(len(q) // batch, width, q.device).repeat(batch, 1, 1)[:, None]
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=True)
    return unfold(o, batch, t)


def filled(t: int, width: int) -> int:
    """t rounded up to whole chunks."""
    return -(-t // width) * width


def window_flops(t: int, n_heads: int, window: int, d: int) -> int:
    """Of `window_mix`, keys and values d wide."""
    width = min(window, t)
    return 8 * n_heads * filled(t, width) * width * d


def joint_softmax(
    far: Float[Tensor, "*rows F"], near: Float[Tensor, "*rows K"]
) -> tuple[Float[Tensor, "*rows F"], Float[Tensor, "*rows K"]]:
    """One softmax over two sets of keys."""
    weights = torch.cat([far, near], -1).softmax(-1)
    return weights[..., : far.shape[-1]], weights[..., far.shape[-1] :]


def grown(state: State | None, **new: Tensor) -> dict[str, Tensor]:
    """What was kept, with one more token on axis 2."""
    if state is None:
        return new
    return {name: torch.cat([state[name], x], 2) for name, x in new.items()}


def see_all(
    q: Float[Tensor, "B H 1 D"], k: Float[Tensor, "B G S D"], v: Float[Tensor, "B G S V"]
) -> Float[Tensor, "B H 1 V"]:
    """Softmax attention of one query over every key of a cache."""
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
