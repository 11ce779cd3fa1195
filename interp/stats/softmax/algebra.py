"""Statistics from stock attention calls alone, no kernel of our own: a fallback and an oracle.

A fused attention call gives Σ_j a_ij v_j and the log-sum-exp, lse, of a row; v is ours to choose:

    entropy            lse - q·attn(q, k, v=k)
    Σ a²               exp(lse of 2q - 2 lse)
    Σ_j a_ij f_j       attn(q, k, v=f): distance, chosen columns, blocks, norms of values
    ln Σ_i a_ij        lse of attn(q'=[k, 1], k'=[q, -lse]), last token first

Scale and biases are coordinates of q and k, a sink logit is added to lse afterwards. Only the
largest weights take a plain pass over strips of logits: O(n²) time and O(n) memory, as the calls.

How exact: on CPU the calls run in float64, so that what float32 holds of each statistic is right.
On CUDA they run in float32. There lse - q·attn(q, k, k) is a difference of numbers as large as the
logits and biases are: the entropy of a row, and of the rest of a row, is right to about 3e-7 times
the largest of those, in nats, and a distance to 2e-7 times the row's position, in tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.row_state import RowState, Spread, finite
from interp.stats.softmax.points import at_keys
from interp.stats.wanted import Wanted
from models.attention.contract import repeat_groups
from models.forms import Dots

EXACTEST = {"cpu": torch.float64, "cuda": torch.float32}  # what the stock calls take there
STRIP = 128  # rows of logits held at once


def algebra(dots: Dots, wanted: Wanted, norms: Float[Tensor, "B H S"] | None = None) -> HeadStats:
    """Statistics of a causal softmax with biases and a sink, if any; ValueError for other forms."""
    device = dots.q.device.type
    if device not in EXACTEST:
        raise ValueError(
            f"no stock attention call gives the log-sum-exp on {device}; "
            f"move q and k to {' or '.join(EXACTEST)}, or choose another backend"
        )
    return in_precision(EXACTEST[device], dots, wanted, norms)


def in_precision(
    dtype: torch.dtype, dots: Dots, wanted: Wanted, norms: Float[Tensor, "B H S"] | None = None
) -> HeadStats:
    """The same, with calls in that precision; the statistics are float32."""
    refuse(dots, wanted)
    a, c, rows = Causal.of(dots, dtype), wanted, dots.rows
    points = replace(dots, q=dots.q.to(dtype))
    lse = a.lse[..., a.ahead :]
    every = a.spread(0, c)
    position = torch.arange(a.k.shape[2], device=rows.device, dtype=dtype)
    columns = torch.tensor(c.columns, device=rows.device)
    back = rows[:, None] - torch.tensor(c.offsets, device=rows.device)
    return HeadStats(
        visible=(rows + 1)[None],
        row_sum=every.mass.float(),
        every=narrow(every),
        rest=narrow(a.spread(c.apart, c)) if c.apart else None,
        lse=lse.float(),
        distance=(every.mass * rows - a.sums(position[:, None])[..., 0]).float()
        if c.distance
        else None,
        columns=a.sums(position[:, None] == columns).float() if c.columns else None,
        offsets=at_keys(points, lse, back[None]).float() if c.offsets else None,
        targets=None
        if c.targets is None
        else at_keys(points, lse, c.targets[..., None])[..., 0].float(),
        received=a.received().float() if c.received else None,
        block_sum=a.block_sum(rows, c.block).float() if c.block else None,
        block_peak=a.block_peak(c.block).float() if c.block else None,
        valued=a.sums(norms[..., None])[..., 0].float() if c.valued else None,
    )


def refuse(dots: Dots, wanted: Wanted) -> None:
    """ValueError for what no attention call expresses."""
    for name in ("softcap", "window", "start", "query_at", "key_at"):
        value = getattr(dots, name)
        if value is not None:
            shown = f"(positions of {len(value)})" if isinstance(value, Tensor) else value
            raise ValueError(
                f"stock attention calls cannot express {name}={shown}; choose another backend"
            )
    for name in ("argmax", "top", "lags"):
        if getattr(wanted, name):
            raise ValueError(
                f"stock attention calls do not give {name}; choose another backend or leave it out"
            )
    if dots.q.shape[2] > dots.k.shape[2]:
        raise ValueError(
            f"{dots.q.shape[2]} queries at the last of {dots.k.shape[2]} keys stand before the "
            "first; give as many keys at least"
        )


@dataclass(frozen=True)
class Causal:
    """Rows as the stock calls take them: as many queries as keys, logits q·k, query i sees j <= i.

    Dots has its queries at the last keys: in front of them stand `ahead` rows of no query, which
    no method returns.
    """

    q: Float[Tensor, "B H S W"]
    k: Float[Tensor, "B H S W"]
    lse: Float[Tensor, "B H S"]  # with the sink, if there is one
    own: Float[Tensor, "B H S"]  # without it
    ahead: int

    @staticmethod
    def of(dots: Dots, dtype: torch.dtype) -> "Causal":
        """Scale and biases become part of q and k."""
        q = dots.q.to(dtype) * dots.scale
        k = repeat_groups(dots.k, q.shape[1]).to(dtype)
        if dots.query_bias is not None:
            by_query, by_key = (
                dots.query_bias.to(dtype)[..., None],
                dots.key_bias.to(dtype)[..., None],
            )
            q = torch.cat([q, by_query, torch.ones_like(by_query)], -1)
            k = torch.cat([k, torch.ones_like(by_key), by_key], -1)
        ahead = k.shape[2] - q.shape[2]
        q = F.pad(q, (0, 0, ahead, 0))
        own = lse = attend(q, k, k)[1]
        if dots.sink is not None:
            lse = torch.logaddexp(own, F.pad(dots.sink.to(dtype), (ahead, 0)))
        return Causal(q, k, lse, own, ahead)

    def sums(self, features: Shaped[Tensor, "*heads S N"]) -> Float[Tensor, "B H T N"]:
        """Σ_j a_ij f_j of some features of keys: attention with them in place of values."""
        shape = (*self.k.shape[:3], features.shape[-1])
        parts = features.to(self.k.dtype).expand(shape).split(self.k.shape[-1], -1)
        read = torch.cat([attend(self.q, self.k, part)[0] for part in parts], -1)
        return (read * (self.own - self.lse).exp()[..., None])[:, :, self.ahead :]

    def spread(self, apart: int, wanted: Wanted) -> Spread:
        """Sums over the keys from `apart` on, by leaving out the keys before them."""
        before = min(apart, self.k.shape[2])
        q, k = self.q[:, :, before:], self.k[:, :, before:]
        m, lse = torch.full_like(self.lse, -torch.inf), torch.full_like(self.lse, -torch.inf)
        mean, double = torch.zeros_like(self.lse), lse.clone()
        if k.shape[2]:
            read, lse[..., before:] = attend(q, k, k)
            mean[..., before:] = (q * read).sum(-1)
            m[..., before:] = torch.cat([s.amax(-1) for s in strips(q, k, STRIP)], -1)
            if wanted.square:
                double[..., before:] = attend(2 * q, k, k)[1]
        centre = finite(m)
        l = (lse - centre).exp()
        state = RowState(
            m=m,
            l=l,
            e=l * (mean - centre) if wanted.entropy else None,
            z=(double - 2 * centre).exp() if wanted.square else None,
        )
        rows = slice(self.ahead, None)
        return state.rows(rows).finalize(self.lse[..., rows])

    def received(self) -> Float[Tensor, "B H S"]:
        """Σ_i a_ij: with q and k exchanged and time reversed, a key sees the rows that see it."""
        rows = slice(self.ahead, None)
        by_row = torch.cat([self.q, -self.lse[..., None]], -1)[:, :, rows].flip(2)
        by_key = torch.cat([self.k, torch.ones_like(self.k[..., :1])], -1).flip(2)
        return attend(by_key, by_row, by_row)[1].flip(2).exp()

    def block_sum(self, rows: Int[Tensor, " T"], side: int) -> Float[Tensor, "B H I J"]:
        """Σ a over blocks of side x side tokens, from sums over the keys of each block column."""
        keys = torch.arange(self.k.shape[2], device=rows.device)
        n_blocks = int(keys[-1]) // side + 1
        total = self.q.new_zeros(*self.q.shape[:2], n_blocks, n_blocks)
        for some in torch.arange(n_blocks, device=rows.device).split(self.k.shape[-1]):
            read = self.sums(keys[:, None] // side == some)
            total[..., some] = total[..., some].index_add(2, rows // side, read)
        return total

    def block_peak(self, side: int) -> Float[Tensor, "B H I J"]:
        """The largest a of every block of side x side tokens."""
        peaks = []
        for at, s in enumerate(strips(self.q, self.k, side)):
            row = torch.arange(at * side, at * side + s.shape[2], device=s.device)
            a = (s - self.lse[..., row, None]).exp() * (row >= self.ahead)[:, None]
            a = F.pad(a, (0, -a.shape[-1] % side))
            peaks.append(a.unflatten(-1, (-1, side)).amax((2, 4)))
        return torch.stack(peaks, 2)


def strips(q: Tensor, k: Tensor, side: int) -> Iterator[Float[Tensor, "B H R S"]]:
    """Plain logits, so many rows at once; minus infinity at keys after the row."""
    keys = torch.arange(k.shape[2], device=k.device)
    for row, part in zip(keys.split(side), q.split(side, 2), strict=True):
        yield (part @ k.mT).masked_fill(keys > row[:, None], -torch.inf)


def attend(
    q: Float[Tensor, "B H T W"], k: Float[Tensor, "B H S W"], v: Float[Tensor, "B H S V"]
) -> tuple[Float[Tensor, "B H T V"], Float[Tensor, "B H T"]]:
    """Causal attention of logits q·k and its log-sum-exp, query i sees j <= i; V <= W.

    The one place that knows which call there is: no public one returns the log-sum-exp on CPU, and
    on CUDA the public ones take half precision only.
    """
    # CUDA wants whole vectors; CPU wants q, k and v of one width, and misreads strided numbers.
    width = k.shape[-1] + -k.shape[-1] % 8
    q, k, wide = (F.pad(x, (0, width - x.shape[-1])).contiguous() for x in (q, k, v))
    if q.device.type == "cpu":
        op = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, lse = op(q, k, wide, 0.0, True, scale=1.0)
    else:
        op = torch.ops.aten._scaled_dot_product_efficient_attention
        out, lse, *_ = op(q, k, wide, None, True, 0.0, True, scale=1.0)
    return out[..., : v.shape[-1]], lse[..., : q.shape[2]]


def narrow(x: Spread) -> Spread:
    """The same in float32."""
    parts = {f.name: getattr(x, f.name) for f in fields(x)}
    return Spread(**{name: None if part is None else part.float() for name, part in parts.items()})
