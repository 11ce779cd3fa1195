"""What keys that are shared, split or wide have in common: widths, roads, a cache."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Turn
from models.forms import Dots
from models.kernels.softmax import dot, fused, masked


class SoftmaxRoads:
    """A = softmax(q·k / √D) both ways, whatever the widths of keys and values."""

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return masked(dot(p.q, p.k))

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        return Dots(q=p.q, k=p.k, scale=p.q.shape[-1] ** -0.5)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        # Stock kernels that never write A down want values exactly as wide as the keys.
        wide, narrow = p.k.shape[-1], p.v.shape[-1]
        return fused(p.q, p.k, F.pad(p.v, (0, max(0, wide - narrow))))[..., :narrow]


def roads_cost(c: HeadConfig, matrices: int, cached: int, d_key: int, d_value: int = 0) -> Cost:
    """Of `SoftmaxRoads` behind `matrices` weights that each multiply once per token.

    `cached` numbers are kept per token; values narrower than keys cost as much as keys.
    """
    return Cost(
        parameters=matrices,
        flops=lambda t: 2 * t * (matrices + t * c.n_heads * (d_key + max(d_key, d_value))),
        cache=lambda t: cached * t,
    )


def even_share(d_head: int, parts: int) -> int:
    """The part of a head that is turned: d_head / parts, made even, and one pair at least."""
    return max(2, d_head // parts // 2 * 2)


def weight(*shape: int, fan_in: int) -> nn.Parameter:
    """A matrix per head that keeps the variance of its `fan_in` inputs."""
    return nn.Parameter(torch.randn(*shape) * fan_in**-0.5)


def turn_last(
    x: Float[Tensor, "B N T D"], width: int, where: Num[Tensor, " T"], turn: Turn
) -> Float[Tensor, "B N T D"]:
    """Positions on the last `width` dimensions only (partial RoPE)."""
    still, turned = x.split([x.shape[-1] - width, width], -1)
    return torch.cat([still, turn(turned, where)], -1) if width else x


def place_last(p: Projected, width: int, where: Num[Tensor, " T"], turn: Turn) -> Projected:
    """`place` that turns the last `width` dimensions of q and k."""
    return replace(p, q=turn_last(p.q, width, where, turn), k=turn_last(p.k, width, where, turn))


def cached_shared(
    mixer: nn.Module, p: Projected, state: State | None, shared: int
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One token where the first `shared` dimensions of a value are those of its key: kept once."""
    new = {"k": p.k, "own": p.v[..., shared:]}
    whole = new if state is None else {n: torch.cat([state[n], x], 2) for n, x in new.items()}
    v = torch.cat([whole["k"][..., :shared], whole["own"]], -1)
    seen = replace(p, k=whole["k"], v=v)
    return mixer.pattern(seen) @ mixer.values(seen), whole
