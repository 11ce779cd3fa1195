"""Ways to run the same softmax attention: other orders, other memories, one result.

All take q, k, v as [B, H, T, D] without positions and return causal softmax attention; `recompute`
takes a whole stack of layers. They are for looking at, not for speed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.attention.contract import Mixer, Turn, causal_mask, repeat_groups
from models.kernels.softmax import dot, masked


def full(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H T D"], v: Float[Tensor, "B H T V"]
) -> Float[Tensor, "B H T V"]:
    """The whole matrix at once: memory T² per head."""
    return masked(dot(q, k)).softmax(-1) @ v


def cached(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H T D"], v: Float[Tensor, "B H T V"]
) -> Float[Tensor, "B H T V"]:
    """Token by token, each new query over all keys kept so far: memory T · (D + V) per head."""
    keys, values, out = k[:, :, :0], v[:, :, :0], []
    for t in range(q.shape[2]):
        now = slice(t, t + 1)
        keys = torch.cat([keys, k[:, :, now]], 2)
        values = torch.cat([values, v[:, :, now]], 2)
        out.append(dot(q[:, :, now], keys).softmax(-1) @ values)
    return torch.cat(out, 2)


class Part(NamedTuple):
    """Softmax attention over some of the keys, safe from overflow: V + 2 numbers per query."""

    m: Float[Tensor, "*n 1"]  # the largest logit z
    u: Float[Tensor, "*n V"]  # Σ e^(z - m) v
    w: Float[Tensor, "*n 1"]  # Σ e^(z - m)

    def result(self) -> Float[Tensor, "*n V"]:
        """The weighted mean of the values."""
        return self.u / self.w


def combine(a: Part, b: Part) -> Part:
    """Attention over the keys of both: associative and commutative, so any order will do."""
    m = torch.maximum(a.m, b.m)
    left, right = (a.m - m).exp(), (b.m - m).exp()
    return Part(m, a.u * left + b.u * right, a.w * left + b.w * right)


def one_key(q: Float[Tensor, "*n D"], k: Float[Tensor, "*n D"], v: Float[Tensor, "*n V"]) -> Part:
    """Attention of each query over the one key beside it."""
    z = (q * k).sum(-1, keepdim=True) * q.shape[-1] ** -0.5
    return Part(z, v, torch.ones_like(z))


def scan(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H T D"], v: Float[Tensor, "B H T V"]
) -> Float[Tensor, "B H T V"]:
    """Attention as a recurrence (kexue 10017, 2024): queries walk back from their own key.

    What a query carries, a Part, never grows.
    """
    part, out = one_key(q, k, v), []
    for lag in range(1, q.shape[2] + 1):
        out.append(part.result()[:, :, :1])  # row lag - 1 has no key further back
        rest = Part(*(x[:, :, 1:] for x in part))
        part = combine(rest, one_key(q[:, :, lag:], k[:, :, :-lag], v[:, :, :-lag]))
    return torch.cat(out, 2)


def tree(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H T D"], v: Float[Tensor, "B H T V"]
) -> Float[Tensor, "B H T V"]:
    """The same in log2 T rounds (Feng et al. 2024, arXiv 2405.13956): keys in pairs, then pairs.

    Memory T² · V per head.
    """
    t = q.shape[2]
    seen = causal_mask(t, t, q.device)[..., None].to(q.dtype)
    # A key that is not seen is neutral: no weight, and an m that is finite, as inf - inf is NaN.
    z = masked(dot(q, k)).clamp_min(torch.finfo(q.dtype).min)
    part = Part(z[..., None], v[:, :, None] * seen, seen.expand(*z.shape, 1))
    while (n := part.m.shape[3]) > 1:
        even = n - n % 2
        pairs = (Part(*(x[:, :, :, i:even:2] for x in part)) for i in (0, 1))
        last = (x[:, :, :, even:] for x in part)
        part = Part(*(torch.cat(both, 3) for both in zip(combine(*pairs), last, strict=True)))
    return part.result()[..., 0, :]


def contiguous(length: int, devices: int) -> list[Int[Tensor, " n"]]:
    """Device r holds the r-th run of tokens; causal work is uneven."""
    return list(torch.arange(length).tensor_split(devices))


def zigzag(length: int, devices: int) -> list[Int[Tensor, " n"]]:
    """Of 2·devices runs device r holds the r-th from the front and the r-th from the back."""
    runs = torch.arange(length).tensor_split(2 * devices)
    return [torch.cat([runs[r], runs[-1 - r]]) for r in range(devices)]


def striped(length: int, devices: int) -> list[Int[Tensor, " n"]]:
    """Device r holds tokens r, r + devices, ... (Brandon et al. 2023, arXiv 2311.09431)."""
    return [torch.arange(r, length, devices) for r in range(devices)]


LAYOUTS: dict[str, Callable[[int, int], list[Tensor]]] = {
    "contiguous": contiguous,
    "zigzag": zigzag,
    "striped": striped,
}


@dataclass(frozen=True)
class Ring:
    """Who meets whom when: in step s device r has the keys of device (r - s) mod devices."""

    device: Int[Tensor, " T"]  # which device holds a token's query
    step: Int[Tensor, "T T"]  # in which step a query meets a key; -1 for future keys
    work: Int[Tensor, "steps devices"]  # query-key pairs that a device weighs in a step

    @property
    def balance(self) -> float:
        """Share of the time that devices work, if each step waits for its busiest; at most 1."""
        return float(self.work.sum() / (self.work.shape[1] * self.work.amax(1).sum()))


def ring(length: int, devices: int, layout: str = "contiguous") -> Ring:
    """The tiling of a ring; ValueError for an unknown layout or more devices than tokens."""
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not 1 <= devices <= length:
        raise ValueError(f"a ring over {length} tokens takes 1 to {length} devices, got {devices}")
    device = torch.empty(length, dtype=torch.long)
    for r, tokens in enumerate(LAYOUTS[layout](length, devices)):
        device[tokens] = r
    seen = causal_mask(length, length, device.device)
    step = ((device[:, None] - device) % devices).masked_fill(~seen, -1)
    cell = (step * devices + device[:, None])[seen]
    work = cell.bincount(minlength=devices**2).view(devices, devices)
    return Ring(device, step, work)


def over(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S V"],
    seen: Bool[Tensor, "T S"],
) -> tuple[Float[Tensor, "B H T V"], Float[Tensor, "B H T 1"]]:
    """Attention over one block of keys, and its log-sum-exp: minus infinity where none is seen."""
    z = dot(q, k).masked_fill(~seen, -torch.inf)
    lse = z.logsumexp(-1, keepdim=True)
    return (z - lse.clamp_min(torch.finfo(z.dtype).min)).exp() @ v, lse


def blockwise(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H T D"],
    v: Float[Tensor, "B H T V"],
    devices: int = 4,
    layout: str = "contiguous",
) -> tuple[Float[Tensor, "B H T V"], Ring]:
    """Ring attention (Liu et al. 2023, arXiv 2310.01889), simulated; also returns the tiling.

    Keys and values go round; each device merges one block of them a step.
    """
    tiling, out = ring(q.shape[2], devices, layout), torch.empty_like(v)
    held = [(tiling.device == r).nonzero()[:, 0] for r in range(devices)]
    for r, mine in enumerate(held):
        o, lse = None, None
        for s in range(devices):
            theirs = held[(r - s) % devices]
            if not tiling.work[s, r]:
                continue
            seen = (mine[:, None] >= theirs).to(q.device)
            o_b, lse_b = over(q[:, :, mine], k[:, :, theirs], v[:, :, theirs], seen)
            o, lse = (o_b, lse_b) if o is None else merge(o, lse, o_b, lse_b)
        out[:, :, mine] = o
    return out, tiling


def merge(
    o: Float[Tensor, "B H T V"],
    lse: Float[Tensor, "B H T 1"],
    o_b: Float[Tensor, "B H T V"],
    lse_b: Float[Tensor, "B H T 1"],
) -> tuple[Float[Tensor, "B H T V"], Float[Tensor, "B H T 1"]]:
    """Two attentions over different keys as one over both, by the weights of their sums."""
    both = torch.logaddexp(lse, lse_b)
    return o * (lse - both).exp() + o_b * (lse_b - both).exp(), both


def recompute(
    x: Float[Tensor, "B T E"], layers: Sequence[Mixer], turn: Turn = lambda x, where: x
) -> tuple[Float[Tensor, "B T E"], list[int]]:
    """Softmax layers with residual connections that keep nothing per token but x (kexue 10017).

    Layer N at token t makes the output of layer N - 1 at every token up to t anew; each layer holds
    one query, one row and one Part meanwhile. Also returns the steps per token, counted as readings
    of x: at the t-th of L tokens C(t + N - 1, N), so C(L + N, N + 1) in all.
    """
    steps = [0] * x.shape[1]

    def output(n: int, t: int, top: int) -> Tensor:
        if n == 0:
            steps[top] += 1
            return x[:, t : t + 1]
        mixer, part = layers[n - 1], None
        for j in range(t, -1, -1):  # backwards, as the query comes from the last token
            below = output(n - 1, j, top)
            p = mixer.place(mixer.project(below), torch.tensor([j], device=x.device), turn)
            if part is None:
                q, resid = p.q, below
            key = one_key(q, *(repeat_groups(y, q.shape[1]) for y in (p.k, p.v)))
            part = key if part is None else combine(part, key)
        return resid + mixer.merge(part.result())

    return torch.cat([output(len(layers), t, t) for t in range(x.shape[1])], 1), steps
