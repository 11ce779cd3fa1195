"""One prompt through the model: row statistics, thumbnails, losses; and the same on controls."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.measurements.passes import batches, stream_layers
from interp.measurements.rows import Rows, frozen, most_rows, rows_of, rows_wanted
from interp.nulls import generator, repeated, shuffled
from interp.progress import Progress
from interp.stats.head_stats import HeadStats
from interp.stats.sources import Source
from interp.subject import Kept, Refused, Subject

SHUFFLES = 3  # orders of the prompt's tokens
THUMBNAIL = 32  # thumbnails are at most that many blocks wide
CONTROL_ROWS = 1024  # query rows that a control reads at most: its mean needs no more


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    """Which tokens to read, and the seed of everything random about sample and controls."""

    ids: tuple[int, ...]
    seed: int = 0
    # Read that many query rows, drawn at random; None: all, or as many as can be kept.
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise Refused(f"A sample has 1 query row or more; {self.rows} were asked for.")

    def plain(self) -> dict[str, Any]:
        """Everything that is needed to ask again, as JSON values."""
        asked = {"ids": list(self.ids), "seed": self.seed}
        return asked if self.rows is None else asked | {"rows": self.rows}


@dataclass(frozen=True, eq=False)
class PromptReading:
    """What one forward pass over the prompt leaves behind: O(T) per head."""

    request: PromptRequest
    rows: Rows
    thumbs: Float[np.ndarray, "L H S S"]  # entry of largest |A| in each block
    losses: Float[np.ndarray, " T_minus_1"]
    kept: Kept = field(repr=False)
    # Mean attention to each key over the rows that see it; None where rows are a sample.
    received: Float[np.ndarray, "L H T"] | None = None


@dataclass(frozen=True, eq=False)
class PartialReading:
    """The first layers of a reading that is still running."""

    layers: int
    thumbs: Float[np.ndarray, "l H S S"]
    sink: Float[np.ndarray, "l H"]  # mean share on token 0 of the rows read


@dataclass(frozen=True, eq=False)
class PromptControls:
    """The same statistics where the effect should be absent or unchanged."""

    twin: Rows  # the prompt through a random-init twin
    shuffled: Rows  # the prompt's tokens in random orders
    same_token: Rows  # the prompt's first token over and over


def sampled(length: int, rows: int, seed: int) -> Int[Tensor, " R"]:
    """Positions of the query rows to read, rising: all of them, or that many drawn at random."""
    if rows >= length:
        return torch.arange(length)
    return torch.randperm(length, generator=generator(seed))[:rows].sort().values


def part(source: Source, at: Int[Tensor, " R"]) -> tuple[Source, Int[Tensor, " read"]]:
    """The Source of some rows, and which those are: all, where the variant cannot skip any."""
    length = source.shape[2]
    if len(at) == length:
        return source, at
    some = source.sample(at)
    return (source, torch.arange(length)) if some is None else (some, at)


def read(subject: Subject, request: PromptRequest, progress: Progress) -> PromptReading:
    """Measure the prompt itself; layers are shown as they are read."""
    length = len(request.ids)
    tokens = torch.tensor([request.ids])
    wanted = rows_wanted(block=-(-length // THUMBNAIL), received=True)
    most = most_rows(subject.card)
    asked = sampled(length, min(most, request.rows or most), request.seed)
    stats: list[HeadStats] = []
    kept, read_at = Kept(), [asked]

    def see(layer: int, source: Source) -> None:
        some, read_at[0] = part(source, asked)
        stats.append(some.stats(wanted))
        progress.show(so_far(stats))

    losses = stream_layers(subject, tokens, see, progress, "reading the prompt", kept)[0]
    received = None
    if len(read_at[0]) == length:
        visible = torch.arange(length, 0, -1)
        received = frozen(torch.stack([s.received[0].cpu() / visible for s in stats]))
    return PromptReading(
        request,
        rows_of(stats, read_at[0], length),
        thumbnails(stats),
        frozen(losses),
        kept,
        received,
    )


def so_far(stats: list[HeadStats]) -> PartialReading:
    """What the layers read so far show."""
    sinks = [s.columns[0, ..., 0].abs() / s.every.mass[0].clamp_min(1e-30) for s in stats]
    return PartialReading(
        len(stats), thumbnails(stats), frozen(torch.stack([x.mean(-1) for x in sinks]))
    )


def thumbnails(stats: list[HeadStats]) -> Float[np.ndarray, "l H S S"]:
    """The matrix at thumbnail size: each pixel is the strongest weight under it, sign kept.

    Max, never mean: a single-token head must not fade out of sight.
    """
    found = torch.stack([s.block_peak[0] for s in stats])
    unread = found.shape[-1] - found.shape[-2]  # blocks of rows after the last one of a sample
    return frozen(torch.nn.functional.pad(found, (0, 0, 0, unread)))


def controls(subject: Subject, request: PromptRequest, progress: Progress) -> PromptControls:
    """Measure the three controls of the same length, on a sample of rows where it is long."""
    ids = torch.tensor(request.ids)
    most = most_rows(subject.card, sequences=2 + SHUFFLES)
    at = sampled(len(ids), min(CONTROL_ROWS, most, request.rows or most), request.seed + 1)
    progress.breathe()
    progress.step(0, 1, "making the random-init twin")
    twin = subject.twin(request.seed)
    return PromptControls(
        twin=read_rows(twin, ids[None], at, progress, "null: random-init twin"),
        shuffled=read_rows(
            subject, shuffled(ids, SHUFFLES, request.seed), at, progress, "control: shuffled prompt"
        ),
        same_token=read_rows(
            subject, repeated(request.ids[0], len(ids)), at, progress, "control: one token repeated"
        ),
    )


def read_rows(
    subject: Subject, tokens: Tensor, at: Int[Tensor, " R"], progress: Progress, note: str
) -> Rows:
    """Row statistics of a batch of sequences."""
    parts: list[Rows] = []
    for batch in batches(tokens):
        stats: list[HeadStats] = []
        read_at = [at]

        def see(layer: int, source: Source, stats: list = stats, read_at: list = read_at) -> None:
            some, read_at[0] = part(source, at)
            stats.append(some.stats(rows_wanted()))

        stream_layers(subject, batch, see, progress, note)
        parts.append(rows_of(stats, read_at[0], tokens.shape[1]))
    return Rows.joined(parts)
