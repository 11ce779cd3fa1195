"""Statistics tile by tile: tiles of the matrix pass through the cache, O(n) memory per head.

Exact: every sum is of the softmax's own terms, relative to a running maximum, and is merged in
float64. The online softmax is that of Milakov & Gimelshein (2018, arXiv 1805.02867); entropy,
squares and column sums ride along as in FlashAttention's loop (Dao et al. 2022, arXiv 2205.14135).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.row_state import RowState, Spread
from interp.stats.softmax.heads import LN2, Heads
from interp.stats.softmax.points import with_points
from interp.stats.softmax.strip_sums import Strip
from interp.stats.softmax.tile_pass import Out, Pass
from interp.stats.softmax.tiling import Layout, Size
from interp.stats.wanted import Wanted
from models.forms import Dots

LONG = 2048  # keys from which a head fills the cache by itself
# A tile of float32 numbers takes 1.1 or 1.5 MiB, about a core's L2 cache.
SHORT_SIZE = Size(rows=64, keys=512, heads=9)
LONG_SIZE = Size(rows=128, keys=1024, heads=3)


def chunked(
    dots: Dots,
    wanted: Wanted,
    norms: Float[Tensor, "B H S"] | None = None,
    size: Size | None = None,
) -> HeadStats:
    """Statistics of a softmax of dot products in float32 (float64 where the queries are).

    Time goes with the entries that are seen, memory with rows and keys. On a processor, long
    prompts are spread over `torch.get_num_threads()` threads, head by head; threads that start
    elsewhere meanwhile find torch set to one thread. `size` overrides how it is tiled.
    """
    long = dots.k.shape[2] >= LONG
    size = size or (LONG_SIZE if long else SHORT_SIZE)
    kind = torch.promote_types(dots.q.dtype, torch.float32)
    with torch.no_grad():
        layout = Layout.of(dots, kind)
        heads = dots.q.shape[0] * dots.q.shape[1]
        out = room(layout, wanted, heads)
        threads = torch.get_num_threads() if long and dots.q.device.type == "cpu" else 1
        parts = shares(heads, size.heads, threads)

        def run(where: slice) -> None:
            over_heads(Heads.of(dots, where, norms, kind), layout, wanted, out, size)

        spread(run, parts, threads)
        return collected(dots, wanted, layout, out, kind)


def shares(heads: int, most: int, threads: int) -> list[slice]:
    """Slices of at most so many heads, as even as can be, as many for each thread."""
    count = min(heads, -(-heads // (most * threads)) * threads)
    ends = [heads * at // count for at in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def over_heads(heads: Heads, layout: Layout, wanted: Wanted, out: Out, size: Size) -> None:
    """All statistics of some heads."""
    apart, rest = Pass(heads, layout, wanted, out, size).run()
    store(out.rest, rest, heads.where)
    if apart is not None:
        store(out.apart, apart, heads.where)


def store(to: RowState, state: RowState, where: slice) -> None:
    """Write the state of some heads into that of all."""
    for part in fields(state):
        if (x := getattr(state, part.name)) is not None:
            getattr(to, part.name)[where] = x


def spread(run: Callable[[slice], None], parts: list[slice], threads: int) -> None:
    """Run all parts, each on one thread: operations are too small to be split further."""
    threads = min(threads, len(parts))
    if threads < 2:
        for part in parts:
            run(part)
        return
    inference, before = torch.is_inference_mode_enabled(), torch.get_num_threads()

    def alone(part: slice) -> None:
        # Both modes belong to a thread, and what is made in inference mode is written in it only.
        with torch.no_grad(), torch.inference_mode(inference):
            run(part)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(alone, parts))
    finally:
        torch.set_num_threads(before)


def room(layout: Layout, wanted: Wanted, heads: int) -> Out:
    """Results of rows that have seen nothing yet."""
    t, top = layout.rows.shape[0], max(wanted.top, int(wanted.argmax))
    zeros = {"l": True, "e": wanted.entropy, "z": wanted.square}
    zeros |= {"d": wanted.distance, "f": wanted.valued}

    def full(value: float, *shape: int) -> Tensor:
        return layout.ramp.new_full((heads, t, *shape), value, dtype=torch.float64)

    def state() -> RowState:
        return RowState(m=full(-torch.inf), **{name: full(0.0) for name, on in zeros.items() if on})

    return Out(
        apart=state() if wanted.apart else None,
        rest=state(),
        strip=Strip.zeros(layout, wanted, heads),
        top_keys=full(-1.0, top).long(),
        top_logits=full(-torch.inf, top),
    )


def collected(dots: Dots, wanted: Wanted, layout: Layout, out: Out, kind: torch.dtype) -> HeadStats:
    """All heads' results as statistics."""
    shape = dots.q.shape[:2]
    rest = shaped(out.rest, shape)
    state = rest if out.apart is None else shaped(out.apart, shape).merge(rest)
    lse = state.lse
    if dots.sink is not None:
        lse = torch.logaddexp(lse, dots.sink.double())

    def of(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.unflatten(0, shape).to(kind)

    def narrow(x: Spread) -> Spread:
        return Spread(
            **{f.name: None if (y := getattr(x, f.name)) is None else y.to(kind) for f in fields(x)}
        )

    every = state.finalize(lse)
    weights = of((out.top_logits * LN2 - finite_lse(lse.flatten(0, 1))[..., None]).exp())
    keys = torch.where(out.top_logits == -torch.inf, -1, out.top_keys).unflatten(0, shape)
    visible = layout.visible()
    if dots.start is not None:
        visible = visible[:: shape[1]]
    stats = HeadStats(
        visible=visible.expand(shape[0], -1),
        row_sum=every.mass.to(kind),
        every=narrow(every),
        rest=narrow(rest.finalize(lse)) if wanted.apart else None,
        lse=lse.to(kind),
        distance=state.total("d", lse).to(kind) if wanted.distance else None,
        argmax=keys[..., 0] if wanted.argmax else None,
        top_keys=keys[..., : wanted.top] if wanted.top else None,
        top_weights=weights[..., : wanted.top] if wanted.top else None,
        lags=of(out.strip.lags),
        received=of(out.strip.received),
        block_sum=of(out.strip.block_sum),
        block_peak=of(out.strip.block_peak),
        valued=state.total("f", lse).to(kind) if wanted.valued else None,
    )
    return with_points(stats, dots, wanted, lse)


def finite_lse(lse: Float[Tensor, "heads T"]) -> Float[Tensor, "heads T"]:
    """Zero for rows that see nothing."""
    return torch.where(lse.isinf(), 0, lse)


def shaped(state: RowState, shape: torch.Size) -> RowState:
    """The state of batch and heads apart."""
    parts = {f.name: getattr(state, f.name) for f in fields(state)}
    return RowState(
        **{name: None if x is None else x.unflatten(0, shape) for name, x in parts.items()}
    )
