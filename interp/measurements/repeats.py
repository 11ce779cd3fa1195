"""Repeated random tokens [R, R]: who attends one back, N back, N - 1 back; and the controls."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.measurements.passes import batches, stream_layers
from interp.nulls import generator
from interp.progress import Progress
from interp.stats.sources import Source
from interp.stats.wanted import Wanted
from interp.subject import Refused, Subject


@dataclass(frozen=True, kw_only=True)
class RepeatsRequest:
    """TransformerLens's Main_Demo convention: N = 50 random tokens, twice, 10 sequences."""

    length: int = 50  # N
    sequences: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Stripes:
    """Mean weight on each diagonal, per sequence; `proxy` is the same on |A| / Σ|A|."""

    previous: Float[np.ndarray, "B L H"]  # A[i, i-1], all rows i ≥ 1
    duplicate: Float[np.ndarray, "B L H"]  # A[i, i-N], rows of the second copy
    induction: Float[np.ndarray, "B L H"]  # A[i, i-N+1], rows of the second copy
    induction_lens: Float[np.ndarray, "B L H"]  # the same diagonal, all its rows (TransformerLens)


@dataclass(frozen=True, eq=False)
class StripePair:
    """Stripes of the matrix as applied, and of its non-negative proxy."""

    raw: Stripes
    proxy: Stripes


@dataclass(frozen=True, eq=False)
class RepeatsReading:
    """Stripes on repeated tokens, and the loss at every position."""

    request: RepeatsRequest
    stripes: StripePair
    losses: Float[np.ndarray, "B T_minus_1"]
    ids: tuple[int, int] | None = None  # first and last id that tokens were drawn from


@dataclass(frozen=True, eq=False)
class RepeatsControls:
    """The same where nothing repeats, and in a model that learned nothing."""

    twin: StripePair  # repeated tokens through a random-init twin
    fresh: StripePair  # the second copy replaced by tokens not seen before
    fresh_losses: Float[np.ndarray, "B T_minus_1"]


def sequences(
    subject: Subject, request: RepeatsRequest
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """(repeated, fresh): both start with the same N tokens, drawn without replacement.

    Raises Refused when the model's context or vocabulary is too small for the request.
    """
    n, ids = request.length, subject.ordinary_ids()
    if n < 2 or request.sequences < 1:
        raise Refused(f"repeated tokens need N of 2 or more and a sequence, got {request}")
    if 2 * n > subject.card.n_ctx:
        raise Refused(
            f"{subject.card.name} reads {subject.card.n_ctx} tokens; two copies of {n} are {2 * n}"
        )
    if len(ids) < 2 * n:
        raise Refused(
            f"{subject.card.name} has {len(ids)} ordinary tokens; {2 * n} different ones are needed"
        )
    rng = generator(request.seed)
    drawn = torch.stack(
        [ids[torch.randperm(len(ids), generator=rng)[: 2 * n]] for _ in range(request.sequences)]
    )
    return drawn[:, :n].repeat(1, 2), drawn


def read(subject: Subject, request: RepeatsRequest, progress: Progress) -> RepeatsReading:
    """Measure stripes on repeated random tokens."""
    repeated, _ = sequences(subject, request)
    stripes, losses = measure(subject, repeated, request.length, progress, "repeated tokens")
    ids = subject.ordinary_ids()
    return RepeatsReading(request, stripes, losses, (int(ids.min()), int(ids.max())))


def controls(subject: Subject, request: RepeatsRequest, progress: Progress) -> RepeatsControls:
    """Measure the same stripes on fresh second copies and in a random-init twin."""
    repeated, fresh = sequences(subject, request)
    n = request.length
    fresh_stripes, losses = measure(subject, fresh, n, progress, "control: fresh second copy")
    progress.breathe()
    progress.step(0, 1, "making the random-init twin")
    twin = subject.twin(request.seed)
    twin_stripes, _ = measure(twin, repeated, n, progress, "null: random-init twin")
    return RepeatsControls(twin_stripes, fresh_stripes, losses)


def measure(
    subject: Subject, tokens: Int[Tensor, "B T"], n: int, progress: Progress, note: str
) -> tuple[StripePair, Float[np.ndarray, "B T_minus_1"]]:
    """Stripes of every head and the loss at every position, a few sequences at a time."""
    parts, losses = [], []
    wanted = Wanted(offsets=(1, n, n - 1))
    for batch in batches(tokens):
        raw: list[Tensor] = []
        proxy: list[Tensor] = []

        def see(layer: int, source: Source, raw: list = raw, proxy: list = proxy) -> None:
            found = source.stats(wanted)
            mass = found.every.mass[..., None]
            raw.append(stripes(found.offsets, n))
            proxy.append(
                stripes(found.offsets.abs() / mass.clamp_min(torch.finfo(mass.dtype).tiny), n)
            )

        losses.append(stream_layers(subject, batch, see, progress, note).cpu())
        parts.append([torch.stack(x, 2).float().cpu() for x in (raw, proxy)])
    raw, proxy = (torch.cat(x, 1).numpy() for x in zip(*parts, strict=True))
    return StripePair(Stripes(*raw), Stripes(*proxy)), torch.cat(losses).numpy()


def stripes(back: Float[Tensor, "B H T 3"], n: int) -> Float[Tensor, "4 B H"]:
    """The four stripes' means, from each row's weight 1, N and N - 1 back. Query i of the second
    copy repeats token i - N; what followed that token stands at i - N + 1, and there an induction
    head looks."""
    previous, duplicate, induction = back.unbind(-1)
    lens = induction[..., n - 1 :]  # its first entry is row N - 1, still in the first copy
    means = (previous[..., 1:], duplicate[..., n:], lens[..., 1:], lens)
    return torch.stack([x.mean(-1) for x in means])
