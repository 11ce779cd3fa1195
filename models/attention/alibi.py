"""ALiBi, attention with linear biases (Press et al. 2022, arXiv 2108.12409).

A = softmax(q_i·k_j / √D - m_h (i - j)), m_h = 2^(-8h/H) for heads h = 1..H, and no other
positions. For H that are no power of two the paper interleaves two such series; here it is one.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor

from models.attention.contract import Cost, Projected, State, Traits, Turn, lags
from models.attention.heads import HeadMixer, projections, unplaced
from models.forms import Dots
from models.kernels.softmax import cached, dot, fused, masked

DIGIT = 128  # key numbers go through the fused kernel as two digits: half precision holds those


class Alibi(HeadMixer):
    """Softmax attention that each head fades with distance at its own rate."""

    traits = Traits(row_stochastic=True, nonnegative=True, logits=True, rotary=False)

    @property
    def cost(self) -> Cost:
        c = self.config
        wide = c.d_head + extra(c.d_head)
        return Cost(
            parameters=projections(c),
            flops=lambda t: 2 * t * projections(c) + 4 * t * t * c.n_heads * wide,
            cache=lambda t: 2 * c.n_kv_heads * c.d_head * t,
        )

    def place(self, p: Projected, where: Num[Tensor, " T"], turn: Turn) -> Projected:
        return unplaced(p, where, turn)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        logits = dot(p.q, p.k)
        behind = lags(*logits.shape[-2:], logits.device)
        return masked(logits - slopes(p.q)[:, None, None] * behind)

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores.softmax(-1)

    def dots(self, p: Projected) -> Dots:
        number = torch.arange(p.k.shape[2], device=p.q.device)
        fade = (slopes(p.q).double()[:, None] * number).expand(len(p.q), -1, -1)
        here, scale = -fade[..., -p.q.shape[2] :], p.q.shape[-1] ** -0.5
        return Dots(q=p.q, k=p.k, scale=scale, query_bias=here, key_bias=fade)

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        """On the fused kernel: a row may add m_h·i, which leaves m_h·j, a product like q·k."""
        (b, h, t, d), groups = p.q.shape, p.k.shape[1]
        slope = slopes(p.q) * d**0.5  # the kernel divides by √d
        number = torch.arange(t, device=p.q.device)
        rates = torch.stack([DIGIT * slope, slope], -1)[:, None].expand(b, h, t, 2)
        digits = torch.stack([number // DIGIT, number % DIGIT], -1).to(p.k.dtype)
        rest = (0, extra(d) - 2)
        q = torch.cat([p.q, F.pad(rates, rest)], -1)
        k = torch.cat([p.k, F.pad(digits.expand(b, groups, t, 2), rest)], -1)
        v = F.pad(p.v, (0, extra(d)))  # fused kernels want values as wide as keys
        return fused(q, k, v, scale=d**-0.5)[..., :d]

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        return cached(self, p, state)


def slopes(q: Float[Tensor, "B H T D"]) -> Float[Tensor, " H"]:
    """m_h, in logits per token."""
    h = q.shape[1]
    power = torch.arange(1, h + 1, device=q.device, dtype=torch.float64) * -8 / h
    return power.exp2().to(q.dtype)


def extra(d: int) -> int:
    """Two coordinates for the digits, and as many zeros as make the width a multiple of 8."""
    return 2 + -(d + 2) % 8
