"""Two zones of keys in one softmax: near ones at their true distance, far ones at another."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import Mixer, Projected, State, lags, repeat_groups
from models.kernels.linear import chunks
from models.kernels.masks import band, filled, grown, joint_softmax, places, with_before
from models.kernels.softmax import BLOCK, dot, masked


def zone_scores(p: Projected, window: int) -> Float[Tensor, "B H T S"]:
    """q·k at lags below the window, q_far·k_far at all others."""
    near, far = dot(p.q, p.k), dot(p.extra["q_far"], p.extra["k_far"])
    return masked(torch.where(lags(*near.shape[-2:], near.device) < window, near, far))


def zone_step(
    mixer: Mixer, p: Projected, state: State | None, window: int
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token; of the near copies of the keys only the last `window` are kept."""
    kept = grown(state, k=p.k, v=p.v, k_far=p.extra["k_far"])
    kept["k"] = kept["k"][:, :, -window:]
    k = F.pad(kept["k"], (0, 0, kept["v"].shape[2] - kept["k"].shape[2], 0))
    seen = Projected(p.q, k, kept["v"], {"q_far": p.extra["q_far"], "k_far": kept["k_far"]})
    return mixer.pattern(seen) @ mixer.values(seen), kept


def zone_flops(t: int, n_heads: int, d: int) -> int:
    """Of `by_rows` over t tokens where each pair of a block takes two products with keys."""
    ends = [min(low + BLOCK, t) for low in range(0, t, BLOCK)]
    pairs = sum((high - low) * high for low, high in zip(range(0, t, BLOCK), ends, strict=True))
    return 6 * n_heads * d * pairs


def sink_scores(
    near: Float[Tensor, "B H T S"], far: Float[Tensor, "B H T A"], window: int
) -> Float[Tensor, "B H T S"]:
    """`near` at lags below the window, and `far` at the first keys once they have left it."""
    recent = lags(*near.shape[-2:], near.device) < window
    everywhere = F.pad(far, (0, near.shape[-1] - far.shape[-1]), value=-torch.inf)
    return masked(torch.where(recent, near, everywhere))


def sink_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    far: Float[Tensor, "B H T A"],
    window: int,
) -> Float[Tensor, "B H T V"]:
    """Softmax over `sink_scores`, times v, in O(T · (window + A))."""
    (h, t), n_sinks = q.shape[1:3], far.shape[-1]
    width = min(window, t)
    k, v = repeat_groups(k, h), repeat_groups(v, h)
    near = chunks(q, width) @ with_before(k, width).mT * q.shape[-1] ** -0.5
    near = near.masked_fill(~band(near.shape[2], width, q.device), -torch.inf)
    rows, _ = places(t, t, q.device)
    gone = rows - torch.arange(n_sinks, device=q.device) >= window
    far, near = joint_softmax(chunks(far.masked_fill(~gone, -torch.inf), width), near)
    out = far @ v[:, :, None, :n_sinks] + near @ with_before(v, width)
    return out.flatten(2, 3)[:, :, :t]


def sink_flops(t: int, n_heads: int, n_sinks: int, window: int, d: int) -> int:
    """Of `sink_mix` and the products that make `far`, keys and values d wide."""
    width, n_sinks = min(window, t), min(n_sinks, t)
    return 2 * n_heads * d * (t * n_sinks + filled(t, width) * (n_sinks + 4 * width))


def keep_sinks(x: Float[Tensor, "B G S D"], sinks: int, window: int) -> Float[Tensor, "B G K D"]:
    """The first `sinks` and the last `window` tokens of a cache."""
    if x.shape[2] <= sinks + window:
        return x
    return torch.cat([x[:, :, :sinks], x[:, :, -window:]], 2)
