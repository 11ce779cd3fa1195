"""Registry of the ways to compute the statistics of a softmax of dot products."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from jaxtyping import Float
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.kernels.config import WIDEST
from interp.stats.naive import naive
from interp.stats.wanted import Wanted
from models.forms import Dots

Backend = Callable[[Dots, Wanted, Float[Tensor, "B H S"] | None], HeadStats]


def later(module: str, name: str) -> Backend:
    """A backend that is imported when it first runs: not every machine has what it needs."""

    def run(dots: Dots, wanted: Wanted, norms: Tensor | None = None) -> HeadStats:
        return getattr(import_module(module), name)(dots, wanted, norms)

    return run


BACKENDS: dict[str, Backend] = {
    "naive": naive,
    "chunked": later("interp.stats.softmax.chunked", "chunked"),
    "algebra": later("interp.stats.softmax.algebra", "algebra"),
    "triton": later("interp.stats.kernels.backend", "streamed"),
}


def choose(dots: Dots) -> str:
    """Name of the fastest backend on the device where the queries are."""
    on_gpu = dots.q.device.type == "cuda" and find_spec("triton") is not None
    return "triton" if on_gpu and dots.q.shape[-1] <= WIDEST else "chunked"


def stats(
    dots: Dots,
    wanted: Wanted,
    norms: Float[Tensor, "B H S"] | None = None,
    backend: str | None = None,
) -> HeadStats:
    """Statistics of every head's matrix.

    `norms` holds ‖v_j W_O‖ of every key and is read with `wanted.valued` only. Raises ValueError
    for an unknown backend and for missing norms.
    """
    name = backend or choose(dots)
    if name not in BACKENDS:
        raise ValueError(f"no backend {name!r} of statistics; there are {', '.join(BACKENDS)}")
    if wanted.valued and norms is None:
        raise ValueError("valued sums weigh keys by ‖v W_O‖; give norms of shape [B, H, S]")
    return BACKENDS[name](dots, wanted, norms)
