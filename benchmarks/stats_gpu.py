"""Statistics on a GPU beside flash attention and the bare product QKᵀ.

Run `python -m benchmarks.stats_gpu [tokens of the long run]`. Times are medians of do_bench, in ms.
"""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp.stats.kernels.backend import streamed
from interp.stats.wanted import Wanted
from models.forms import Dots

HEADS, LAYERS = 12, 12
ROWS = Wanted(entropy=True, square=True)
COLUMNS = Wanted(received=True)
ALL = Wanted(apart=1, entropy=True, square=True, distance=True, received=True, block=1024)
SAMPLED = 4096  # query rows of the million-token run


def median(run: Callable[[], object]) -> float:
    """Milliseconds."""
    from triton.testing import do_bench

    return do_bench(run, return_mode="median")


def heads(n: int, d: int, queries: int | None = None) -> Dots:
    """One layer of bfloat16 queries and keys; some rows spread over all positions, if asked."""
    q = torch.randn(1, HEADS, queries or n, d, device="cuda", dtype=torch.bfloat16)
    k = torch.randn(1, HEADS, n, d, device="cuda", dtype=torch.bfloat16)
    at = (
        None if queries is None else (torch.arange(queries, device="cuda") + 1) * (n // queries) - 1
    )
    return Dots(q=q, k=k, scale=d**-0.5, query_at=at)


def product(dots: Dots, rows: int = 2048) -> None:
    """QKᵀ alone, causal half only, block row by block row; nothing is kept."""
    n = dots.q.shape[2]
    for first in range(0, n, rows):
        last = min(first + rows, n)
        torch.matmul(dots.q[:, :, first:last], dots.k[:, :, :last].mT)


def flash(dots: Dots) -> torch.Tensor:
    """Flash attention forward."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(dots.q, dots.k, dots.k, is_causal=True)


def extra(run: Callable[[], object]) -> float:
    """Megabytes taken at the peak over what was held before."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def one_layer(n: int, d: int) -> None:
    """One line of the table: columns are timed with the row pass that they need."""
    dots = heads(n, d)
    base, rows = median(lambda: flash(dots)), median(lambda: streamed(dots, ROWS))
    both, bare = median(lambda: streamed(dots, COLUMNS)), median(lambda: product(dots))
    lse = median(lambda: streamed(dots, Wanted()))
    print(
        f"n={n:<7} d={d:<4} flash {base:8.2f}  QKT {bare:8.2f}  rows {rows:8.2f} "
        f"({rows / base:.2f}x)  lse {lse:8.2f}  columns {both - lse:8.2f} "
        f"({(both - lse) / base:.2f}x)  extra {extra(lambda: streamed(dots, ALL)):.0f} MB"
    )


def main(long: int) -> None:
    """Print the table; a sentence where there is no GPU."""
    if not torch.cuda.is_available():
        sys.exit("no GPU is here to time; run this on a machine with one")
    print(torch.cuda.get_device_name(), torch.__version__, "12 heads, bfloat16, ms per layer")
    for d in (64, 128):
        for n in (2048, 8192, 32768):
            one_layer(n, d)
    model = heads(32768, 64)
    took = LAYERS * median(lambda: streamed(model, ALL))
    print(f"{LAYERS} layers x {HEADS} heads x 32k, all statistics: {took:.0f} ms")
    dots = heads(long, 64, SAMPLED)
    took = LAYERS * median(lambda: streamed(dots, ROWS)) / 1e3
    print(f"{long} tokens, {SAMPLED} sampled rows, {LAYERS} layers: {took:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2**20)
