"""From Dots to the two kernels and back: strides, biases in two parts, block sizes, buffers."""

from dataclasses import dataclass
from math import log

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.kernels import tiles
from interp.stats.kernels.columns import column_pass
from interp.stats.kernels.config import Config, config, split
from interp.stats.kernels.rows import row_pass
from interp.stats.row_state import RowState
from interp.stats.wanted import Wanted
from models.forms import Dots

LN2 = log(2)


@dataclass(frozen=True, eq=False)
class Operands:
    """One layer as both kernels read it."""

    dots: Dots
    q: Float[Tensor, "B H T D"]  # one dtype, the last axis dense
    k: Float[Tensor, "B G S D"]
    q_bias: Float[Tensor, "2 B H T"] | None  # high and low part, in units of log 2
    k_bias: Float[Tensor, "2 B H S"] | None
    q_at: Int[Tensor, " T"]
    k_at: Int[Tensor, " S"]

    @staticmethod
    def of(dots: Dots) -> "Operands":
        """The same matrix with a scale that is not negative."""
        wide = torch.promote_types(dots.q.dtype, dots.k.dtype)
        wide = torch.float32 if wide == torch.float64 else wide
        q = dots.q if dots.scale >= 0 else -dots.q
        return Operands(
            dots=dots,
            q=dense(q.to(wide)),
            k=dense(dots.k.to(wide)),
            q_bias=halves(dots.query_bias),
            k_bias=halves(dots.key_bias),
            q_at=dots.rows.int().contiguous(),
            k_at=dots.keys.int().contiguous(),
        )

    def config(self, name: str, rich: bool) -> Config:
        """Block sizes for this width on this device; biases, caps and windows are always rich."""
        d = self.dots
        rich = rich or self.q_bias is not None or d.softcap is not None or d.window is not None
        device, (size, width) = self.q.device, (self.q.element_size(), self.q.shape[-1])
        return config(name, width, size, family(device), rich)

    def sizes(self) -> dict[str, int]:
        """Arguments that count and stride."""
        (_, h, t, _), (_, g, s, _) = self.q.shape, self.k.shape
        return {
            **dict(zip(("q_batch", "q_head", "q_step"), self.q.stride()[:3], strict=True)),
            **dict(zip(("k_batch", "k_head", "k_step"), self.k.stride()[:3], strict=True)),
            "heads": h,
            "group": h // g,
            "queries": t,
            "keys": s,
            "q_low": 0 if self.q_bias is None else self.q_bias[0].numel(),
            "k_low": 0 if self.k_bias is None else self.k_bias[0].numel(),
        }

    def form(self) -> dict[str, object]:
        """Arguments that say which kind of softmax it is."""
        d, scale, cap = self.dots, abs(self.dots.scale), self.dots.softcap
        w = split(self.q.shape[-1])
        return {
            "scale": scale / LN2 if cap is None else scale / cap,
            "cap": 0.0 if cap is None else cap / LN2,
            "window": 0 if d.window is None else d.window,
            "sinks": d.sinks,
            "D": self.q.shape[-1],
            "WIDTH": w.width,
            "TAIL": w.tail,
            "CAPPED": cap is not None,
            "BIASED": self.q_bias is not None,
            "WINDOWED": d.window is not None,
            "UPCAST": bool(triton.knobs.runtime.interpret),  # it multiplies bits of bfloat16
        }


def dense(x: Float[Tensor, "B N T D"]) -> Float[Tensor, "B N T D"]:
    """The same with neighbouring dimensions side by side in memory."""
    return x if x.stride(-1) == 1 else x.contiguous()


def halves(bias: Float[Tensor, "B H T"] | None) -> Float[Tensor, "2 B H T"] | None:
    """float64 as the sum of two float32, which keeps small differences of large biases."""
    if bias is None:
        return None
    exact = bias.double() / LN2
    high = exact.float()
    return torch.stack([high, (exact - high.double()).float()])


def family(device: torch.device) -> str:
    """Key of the chip in the table of block sizes."""
    if device.type != "cuda":
        return "interpreter"
    if torch.version.hip:
        return "hip"
    return f"sm_{torch.cuda.get_device_capability(device)[0]}x"


def row_sums(x: Operands, wanted: Wanted, norms: Float[Tensor, "B H S"] | None) -> RowState:
    """The row pass: float64 sums per row; `d` is Σ p (i - j), which needs no difference later."""
    b, h, t, _ = x.q.shape
    out = torch.zeros(6, b, h, t, device=x.q.device)
    if not x.k.shape[2]:
        out[0] = -torch.inf
    else:
        launch_rows(x, wanted, norms, out)
    m, l, e, z, d, f = out.double()
    return RowState(
        m=m * LN2,
        l=l,
        e=e * LN2 if wanted.entropy else None,
        z=z if wanted.square else None,
        d=d if wanted.distance else None,
        f=f if wanted.valued else None,
    )


def launch_rows(x: Operands, wanted: Wanted, norms: Tensor | None, out: Tensor) -> None:
    """One program per block of queries, head and sequence."""
    b, h, t, _ = x.q.shape
    c = x.config("rows", wanted.distance or wanted.valued)
    with torch.cuda.device_of(x.q):
        row_pass[(triton.cdiv(t, c.rows), h, b)](
            x.q, x.k, x.q_at, x.k_at, tiles.starts(x.dots).int(),
            tiles.row_tiles(x.dots, c.rows, c.columns),
            x.q_bias, x.k_bias,
            norms.float().contiguous() if wanted.valued else None,
            out, **x.sizes(), field=out[0].numel(), **x.form(),
            ROWS=c.rows, COLUMNS=c.columns,
            ENTROPY=wanted.entropy, SQUARE=wanted.square,
            DISTANCE=wanted.distance, VALUED=wanted.valued,
            **c.options,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Columns:
    """What the column pass found."""

    received: Float[Tensor, "B H S"]
    block_sum: Float[Tensor, "B H I J"] | None
    block_peak: Float[Tensor, "B H I J"] | None


def column_sums(x: Operands, lse: Float[Tensor, "B H T"], side: int) -> Columns:
    """The column pass, given float64 lse of every row; `side` 0: no heat map."""
    b, h, t, _ = x.q.shape
    c = x.config("columns", False)
    queries, keys = tiles.cut(x.q_at, c.rows, side), tiles.cut(x.k_at, c.columns, side)
    cells = int(x.q_at[-1]) // side + 1 if side else 1
    received = torch.zeros(b, h, len(x.k_at), device=x.q.device)
    sums = torch.zeros(2, b, h, len(keys.first), cells if side else 0, device=x.q.device)
    unit = torch.where(lse.isinf(), torch.inf, lse / LN2).float()
    with torch.cuda.device_of(x.q):
        column_pass[(len(keys.first), h, b)](
            x.q, x.k, x.q_at, x.k_at, tiles.starts(x.dots).int(),
            tiles.column_tiles(x.dots, keys, queries), queries.table, keys.table,
            in_tiles(unit, queries, c.rows), x.q_bias, x.k_bias, received, sums[0], sums[1],
            **x.sizes(), q_tiles=len(queries.first), cells=cells, **x.form(),
            ROWS=c.rows, COLUMNS=c.columns, BLOCKS=bool(side),
            **c.options,
        )  # fmt: skip
    if not side:
        return Columns(received, None, None)
    return Columns(received, *heat_map(sums, keys, int(x.k_at[-1]) // side + 1))


def in_tiles(
    lse: Float[Tensor, "B H T"], queries: tiles.Tiles, length: int
) -> Float[Tensor, "B H N R"]:
    """Tile by tile, infinite where a tile is short, so that the kernel loads it without a mask."""
    at = queries.first[:, None] + torch.arange(length, device=lse.device)
    padded = lse[..., at.clamp_max(lse.shape[-1] - 1)]
    return padded.masked_fill(at >= queries.end[:, None], torch.inf)


def heat_map(
    parts: Float[Tensor, "2 B H N I"], keys: tiles.Tiles, cells: int
) -> tuple[Float[Tensor, "B H I J"], Float[Tensor, "B H I J"]]:
    """Sums and peaks of blocks from those of the key tiles in them, in a fixed order."""
    total, peak = parts.new_zeros(2, *parts.shape[1:3], parts.shape[4], cells)
    nth = torch.arange(len(keys.cell), device=keys.cell.device)
    nth = nth - torch.searchsorted(keys.cell, keys.cell)
    for n in range(int(nth.max()) + 1):
        of = nth == n
        here = keys.cell[of]
        total[..., here] += parts[0][:, :, of].mT
        peak[..., here] = torch.maximum(peak[..., here], parts[1][:, :, of].mT)
    return total, peak
