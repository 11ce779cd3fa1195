"""How long a run will take on this machine: said before it starts, learned from runs that ended."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from interp.engine.cost import run_bytes
from interp.measurements.prompt import CONTROL_ROWS, SHUFFLES
from interp.measurements.rows import most_rows, rows_wanted
from interp.stats.backends import stats
from interp.subject import Card
from models.device import device
from models.forms import Dots

DEFAULT_PATIENCE = 30.0  # seconds a run may take before a sample of rows is offered
SAMPLE = 512  # query rows of a sample
LONG = 2 * SAMPLE  # tokens up to which sampling gains nothing
OVERHEAD = 0.05  # seconds of a pass besides arithmetic

# By model digest: how much longer its last whole reading took than its arithmetic says.
_observed: dict[str, float] = {}


@dataclass(frozen=True)
class Forecast:
    """What a reading will take, about."""

    tokens: int
    rows: int  # query rows that are read
    bytes: int
    seconds: float
    controls_seconds: float  # of its nulls and checks, after it


@dataclass(frozen=True)
class Rates:
    """How fast this machine is, measured once."""

    flop: float  # seconds per floating point operation of a matrix product
    attend: float  # seconds per query-key pair of attention itself, for a head 64 wide
    sum_up: float  # seconds per query-key pair of its statistics


def patience() -> float:
    """Seconds: HEADLAMP_TIME_BUDGET, or half a minute.

    Raises ValueError when the setting is not a positive number.
    """
    text = os.environ.get("HEADLAMP_TIME_BUDGET")
    if not text:
        return DEFAULT_PATIENCE
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"HEADLAMP_TIME_BUDGET is {text!r}; give a number of seconds above 0")
    return seconds


def forecast(card: Card, tokens: int, rows: int | None = None) -> Forecast:
    """Bytes and seconds of reading that many tokens, with all query rows or a sample."""
    most = most_rows(card)
    read = min(tokens, most, rows or most)
    factor = _observed.get(card.digest, 1.0)
    controls = (2 + SHUFFLES) * arithmetic(card, tokens, min(read, CONTROL_ROWS))
    return Forecast(
        tokens,
        read,
        run_bytes(card, tokens),
        factor * arithmetic(card, tokens, read),
        factor * controls,
    )


def arithmetic(card: Card, tokens: int, rows: int) -> float:
    """Seconds of one pass as this machine's rates have it."""
    speed = rates()
    pairs = card.n_layers * card.n_heads * tokens**2 / 2 * card.d_head / 64
    return (
        OVERHEAD
        + 2 * card.n_parameters * tokens * speed.flop
        + pairs * (speed.attend + speed.sum_up * rows / tokens)
    )


def sampled_rows(card: Card, tokens: int) -> int | None:
    """How many query rows to offer as a quick look; None where all of them are quick enough."""
    if tokens <= LONG or forecast(card, tokens).seconds <= patience():
        return None
    return SAMPLE


def observe(card: Card, tokens: int, rows: int | None, seconds: float) -> None:
    """Learn from a reading that ended; short ones say more about waiting than about work."""
    if tokens > SAMPLE:
        _observed[card.digest] = seconds / arithmetic(
            card, tokens, min(tokens, rows or most_rows(card))
        )


@cache
def rates() -> Rates:
    """Time a product of matrices, attention and its statistics: hundredths of a second."""
    where = device()
    a, b = torch.randn(256, 1024, device=where), torch.randn(1024, 1024, device=where)
    q, n = torch.randn(1, 8, 1024, 64, device=where), 8 * 1024**2 / 2
    dots = Dots(q=q, k=q, scale=0.125)
    attend = torch.nn.functional.scaled_dot_product_attention
    with torch.inference_mode():
        return Rates(
            flop=fastest(lambda: a @ b) / (2 * 256 * 1024**2),
            attend=fastest(lambda: attend(q, q, q, is_causal=True)) / n,
            sum_up=fastest(lambda: stats(dots, rows_wanted(block=32, received=True))) / n,
        )


def fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs, after one to warm up."""
    found = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])
