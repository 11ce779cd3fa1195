"""One forward pass that sums up every layer's attention as it appears and then lets it go."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.progress import Progress
from interp.stats.sources import Source
from interp.subject import Kept, Subject

# Tokens per forward pass: a pass is the time that urgent work may have to wait.
TOKENS_AT_ONCE = 256


def stream_layers(
    subject: Subject,
    tokens: Int[Tensor, "B T"],
    see: Callable[[int, Source], None],
    progress: Progress,
    note: str,
    keep: Kept | None = None,
) -> Float[Tensor, "B T_minus_1"]:
    """Run the model, give each layer's Source to `see`, report each layer; returns losses."""
    n_layers = subject.card.n_layers

    def look(layer: int, source: Source) -> None:
        see(layer, source)
        progress.step(layer + 1, n_layers, note)

    progress.breathe()
    progress.step(0, n_layers, note)
    return subject.stream(tokens, look, keep)


def batches(tokens: Int[Tensor, "B T"]) -> list[Int[Tensor, "b T"]]:
    """Slices of a batch that keep one forward pass short."""
    return list(tokens.split(max(1, TOKENS_AT_ONCE // tokens.shape[1])))


def token_losses(
    logits: Float[Tensor, "B T V"], tokens: Int[Tensor, "B T"]
) -> Float[Tensor, "B T_minus_1"]:
    """Nats of surprise at each token given those before it; the first token has none."""
    return torch.stack(
        [
            torch.nn.functional.cross_entropy(row[:-1].float(), ids[1:], reduction="none")
            for row, ids in zip(logits, tokens.to(logits.device), strict=True)
        ]
    )
