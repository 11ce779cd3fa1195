"""The kinds of work pages ask for, each named by model digest, tokens and operation."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.engine.cost import run_bytes
from interp.engine.job import Work
from interp.measurements.prompt import PromptRequest
from interp.probes.ablation import run_ablation
from interp.registry import PROMPT, Measurement, probe
from interp.subject import Card, Subject, by_token, pattern_name

SHORT = 256  # tokens: such a prompt is read between the forward passes of longer work


@dataclass(frozen=True, eq=False)
class HeadPattern:
    """One head's matrix on one prompt, as applied: the only n x n that is ever kept."""

    layer: int
    head: int
    pattern: Float[np.ndarray, "T T"]


def key_of(card: Card, operation: str, request: Any, **more: Any) -> str:
    """A name for a result: same model, same request, same operation, same key."""
    words = [card.digest, operation, asdict(request), more]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def load_work(name: str, title: str) -> Work:
    """Load a model onto the shelf; the result is the Subject."""
    return Work(
        f"load {name}",
        f"Loading {title}",
        lambda e, p: loaded(e, name, title, p),
        keep=False,
    )


def loaded(engine: Any, name: str, title: str, progress: Any) -> Subject:
    """A model that is on the shelf when this returns; others may ask for its card and tokens."""

    def say(words: str) -> None:
        progress.step(0, 1, words.rstrip(" ."))

    say(f"loading {title}")
    return engine.shelf.get(name, say)


def reading_work(card: Card, measurement: Measurement, request: Any) -> Work:
    """The measurement itself."""
    tokens = len(request.ids) if measurement.needs_prompt else 0
    label = f"Reading {tokens} tokens" if tokens else "Reading repeated random tokens"
    return Work(
        key_of(card, f"{measurement.name} reading", request),
        label,
        lambda e, p: measurement.read(e.shelf.get(card.name), request, p),
        run_bytes(card, tokens or 256),
        urgent=0 < tokens <= SHORT,
    )


def controls_work(card: Card, measurement: Measurement, request: Any) -> Work:
    """Its nulls and checks."""
    tokens = len(request.ids) if measurement.needs_prompt else 0
    return Work(
        key_of(card, f"{measurement.name} controls", request),
        "Measuring nulls",
        lambda e, p: measurement.controls(e.shelf.get(card.name), request, p),
        run_bytes(card, tokens or 256) + 4 * card.n_parameters,
    )


def scores_work(card: Card, name: str, request: Any, with_controls: bool) -> Work:
    """A probe's Result, with its nulls or (sooner) without."""
    measurement = probe(name).measurement
    reading = reading_work(card, measurement, request)
    controls = controls_work(card, measurement, request) if with_controls else None

    def run(engine: Any, progress: Any) -> Any:
        found = engine.compute(reading, progress)
        null = engine.compute(controls, progress) if controls else None
        return probe(name).score(found, null, card)

    return Work(
        key_of(card, f"{name} scores", request, controls=with_controls),
        f"{probe(name).question.rstrip('?')}: " + ("nulls" if controls else "scores"),
        run,
        max(reading.bytes_needed, controls.bytes_needed if controls else 0),
        urgent=reading.urgent and not controls,
    )


def pattern_work(card: Card, request: PromptRequest, layer: int, head: int) -> Work:
    """One head's matrix, from the kept input of its block."""
    reading = reading_work(card, PROMPT, request)

    def run(engine: Any, progress: Any) -> HeadPattern:
        kept = engine.compute(reading, progress).kept
        found: list[np.ndarray] = []

        def look(pattern: Tensor) -> None:
            found.append(
                by_token(pattern)[0, head].float().cpu().numpy().copy()
            )  # not the whole layer

        engine.shelf.get(card.name).replay(kept, layer, {pattern_name(layer): look})
        found[0].flags.writeable = False
        return HeadPattern(layer, head, found[0])

    return Work(
        key_of(card, "pattern", request, layer=layer, head=head),
        f"The matrix of L{layer}H{head}",
        run,
        reading.bytes_needed,
        urgent=True,
    )


def ablation_work(card: Card, request: PromptRequest, layer: int, head: int) -> Work:
    """What zeroing a head does to the loss."""
    return Work(
        key_of(card, "ablation", request, layer=layer, head=head),
        f"Ablating L{layer}H{head}",
        lambda e, p: run_ablation(e.shelf.get(card.name), request, layer, head, p),
        run_bytes(card, max(256, len(request.ids))),
    )
