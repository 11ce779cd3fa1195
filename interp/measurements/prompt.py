"""One prompt through the model: row statistics, thumbnails, losses; and the same on controls."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.measurements.passes import batches, reduce_layers, stack_layers, token_losses
from interp.nulls import repeated, shuffled
from interp.progress import Progress
from interp.stats.dense_rows import row_stats, thumbnail
from interp.subject import Kept, Subject

SHUFFLES = 3  # orders of the prompt's tokens


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    """Which tokens to read, and the seed of everything random about the controls."""

    ids: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Rows:
    """RowStats of some sequences of one length, as arrays."""

    row_sum: Float[np.ndarray, "B L H T"]
    mass: Float[np.ndarray, "B L H T"]
    square: Float[np.ndarray, "B L H T"]
    log: Float[np.ndarray, "B L H T"]
    peak: Float[np.ndarray, "B L H T"]
    peak_rest: Float[np.ndarray, "B L H T"]
    rest_mass: Float[np.ndarray, "B L H T"]
    rest_square: Float[np.ndarray, "B L H T"]
    rest_log: Float[np.ndarray, "B L H T"]
    first: Float[np.ndarray, "B L H T C"]
    received: Float[np.ndarray, "B L H T"]


@dataclass(frozen=True, eq=False)
class PromptReading:
    """What one forward pass over the prompt leaves behind: O(T) per head."""

    request: PromptRequest
    rows: Rows
    thumbs: Float[np.ndarray, "L H S S"]
    losses: Float[np.ndarray, " T_minus_1"]
    kept: Kept = field(repr=False)


@dataclass(frozen=True, eq=False)
class PromptControls:
    """The same statistics where the effect should be absent or unchanged."""

    twin: Rows  # the prompt through a random-init twin
    shuffled: Rows  # the prompt's tokens in random orders
    same_token: Rows  # the prompt's first token over and over


def read(subject: Subject, request: PromptRequest, progress: Progress) -> PromptReading:
    """Measure the prompt itself."""
    tokens = torch.tensor([request.ids])
    stats, thumbs, kept = [], [], Kept()

    def reduce(layer: int, pattern: Tensor) -> None:
        stats.append(row_stats(pattern))
        thumbs.append(thumbnail(pattern)[0].cpu())

    logits = reduce_layers(subject, tokens, reduce, progress, "reading the prompt", kept)
    losses = token_losses(logits, tokens)[0]
    return PromptReading(
        request,
        rows_of(stats),
        frozen(torch.stack(thumbs)),
        frozen(losses),
        kept,
    )


def controls(subject: Subject, request: PromptRequest, progress: Progress) -> PromptControls:
    """Measure the three controls of the same length."""
    ids = torch.tensor(request.ids)
    progress.breathe()
    progress.step(0, 1, "making the random-init twin")
    twin = subject.twin(request.seed)
    return PromptControls(
        twin=read_rows(twin, ids[None], progress, "null: random-init twin"),
        shuffled=read_rows(
            subject, shuffled(ids, SHUFFLES, request.seed), progress, "control: shuffled prompt"
        ),
        same_token=read_rows(
            subject, repeated(request.ids[0], len(ids)), progress, "control: one token repeated"
        ),
    )


def read_rows(subject: Subject, tokens: Tensor, progress: Progress, note: str) -> Rows:
    """Row statistics of a batch of sequences."""
    parts = []
    for batch in batches(tokens):
        stats: list = []
        reduce_layers(
            subject, batch, lambda layer, a, s=stats: s.append(row_stats(a)), progress, note
        )
        parts.append(rows_of(stats))
    return Rows(**{k: np.concatenate([vars(p)[k] for p in parts]) for k in vars(parts[0])})


def rows_of(stats: list) -> Rows:
    """Per-layer statistics stacked, as read-only arrays."""
    return Rows(**{name: frozen(value) for name, value in stack_layers(stats).items()})


def frozen(x: Tensor) -> np.ndarray:
    """A float32 CPU array that nobody can write to."""
    array = x.detach().float().cpu().numpy()
    array.flags.writeable = False
    return array
