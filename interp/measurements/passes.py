"""One forward pass that reduces every layer's matrix as it appears and then lets it go."""

from collections.abc import Callable
from dataclasses import fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.progress import Progress
from interp.subject import Kept, Subject, by_token, pattern_name

# Tokens per forward pass: a pass is the time that urgent work may have to wait.
TOKENS_AT_ONCE = 256


def reduce_layers(
    subject: Subject,
    tokens: Int[Tensor, "B T"],
    reduce: Callable[[int, Float[Tensor, "B H T T"]], None],
    progress: Progress,
    note: str,
    keep: Kept | None = None,
) -> Float[Tensor, "B T V"]:
    """Run the model, give each layer's pattern to `reduce`, report each layer; returns logits."""
    n_layers = subject.card.n_layers

    def watcher(layer: int) -> Callable[[Tensor], None]:
        def look(pattern: Tensor) -> None:
            reduce(layer, by_token(pattern))
            progress.step(layer + 1, n_layers, note)

        return look

    progress.breathe()
    watch = {pattern_name(layer): watcher(layer) for layer in range(n_layers)}
    return subject.forward(tokens, watch, keep)


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


def stack_layers(per_layer: list, axis: int = 1) -> dict[str, Tensor]:
    """Fields of a list of per-layer dataclasses, stacked into [B, L, ...] on the CPU."""
    return {
        field.name: torch.stack([getattr(x, field.name) for x in per_layer], axis).cpu()
        for field in fields(per_layer[0])
    }
