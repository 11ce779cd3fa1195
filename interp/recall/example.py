"""One sequence of the task: what every head reads at its queries, and what the model answers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.exhibits import Column, Table
from interp.matrices import matrix
from interp.probes.rows import TWIN, kind
from interp.progress import Progress
from interp.recall.reading import RecallRequest, asked, heads
from interp.recall.shown import PAPER
from interp.result import Result
from interp.studies.lines import result
from interp.subject import Card, Subject, by_token, pattern_name
from models.tasks.recall import Sequences


@dataclass(frozen=True, eq=False)
class Example:
    """A sequence with its matrices, ready to be drawn."""

    labels: tuple[str, ...]  # of tokens: their part in the task and their id
    patterns: Float[np.ndarray, "L H T T"]
    asked_at: tuple[int, ...]
    key_at: tuple[int, ...]
    result: Result


def run(subject: Subject, request: RecallRequest, index: int, progress: Progress) -> Example:
    """The sequence of that number; raises Refused where the model cannot read it."""
    index %= request.sequences
    data = asked(subject, request).some(slice(index, index + 1))
    progress.breathe()
    progress.step(0, 2, "one sequence")
    said = subject.forward(data.ids, {})[0].argmax(-1).cpu()
    patterns = matrices(subject, data.ids)
    mass, _ = heads(subject, data)
    progress.breathe()
    progress.step(1, 2, f"null: {TWIN}")
    null, _ = heads(subject.twin(request.seed), data)
    return Example(
        labels=labels(data),
        patterns=patterns,
        asked_at=tuple(data.asked_at[0].tolist()),
        key_at=tuple(data.key_at[0].tolist()),
        result=result(
            "recall-example",
            subject.card,
            {**vars(request), "sequence": index},
            tables=(table(subject, data, said, mass[:, :, 0], null[:, :, 0]),),
        ),
    )


def matrices(subject: Subject, ids: Tensor) -> Float[np.ndarray, "L H T T"]:
    """Every head's matrix; a sequence of the task is short."""
    found: list[np.ndarray] = []

    def see(pattern: Tensor) -> None:
        found.append(by_token(pattern)[0].float().cpu().numpy())

    subject.forward(ids, {pattern_name(at): see for at in range(subject.card.n_layers)})
    return np.stack(found)


def head_matrix(card: Card, example: Example, layer: int, head: int) -> Result:
    """One head's matrix on the sequence, so that it can be kept."""
    shown = matrix(
        example.patterns[layer, head], example.labels, f"L{layer}H{head}", not card.reads_shares
    )
    request = {**example.result.request, "layer": layer, "head": head}
    return result("recall-matrix", card, request, heats=(shown,))


def labels(data: Sequences) -> tuple[str, ...]:
    """What each token is in the task: k a key, v a value, k? a key that is asked for."""
    ids = data.ids[0].tolist()
    words = ["·"] * len(ids)
    for at in data.key_at[0].tolist():
        words[at], words[at + 1] = f"k{ids[at]}", f"v{ids[at + 1]}"
    for at in data.asked_at[0].tolist():
        words[at] = f"k{ids[at]}?"
    return tuple(words)


def table(
    subject: Subject,
    data: Sequences,
    said: Tensor,
    mass: Float[np.ndarray, "L H K"],
    null: Float[np.ndarray, "L H K"],
) -> Table:
    """Every query of the sequence."""
    at, key = data.asked_at[0], data.key_at[0]
    answers = said[at]
    layers, n_heads, _ = mass.shape
    every = [(layer, head) for layer in range(layers) for head in range(n_heads)]
    best = sorted(every, key=lambda place: -mass[place].mean())[:2]
    numbers = [
        column
        for layer, head in sorted(best)
        for column in (
            Column(
                title=f"weight on value, L{layer}H{head}",
                values=mass[layer, head],
                unit="share of attention",
                provenance=kind(subject.card, "proxy"),
            ),
            Column(
                title=f"L{layer}H{head} of the twin",
                values=null[layer, head],
                unit="share of attention",
                provenance=kind(subject.card, "proxy"),
            ),
        )
    ]
    words = {
        "query": [f"k{int(i)} at {int(t)}" for i, t in zip(data.ids[0][at], at, strict=True)],
        "value": [f"v{int(v)} at {int(k) + 1}" for v, k in zip(data.answer[0], key, strict=True)],
        "answered": [f"v{int(i)}" for i in answers],
        "right": ["yes" if a == b else "no" for a, b in zip(answers, data.answer[0], strict=True)],
    }
    return Table(
        key="example",
        title="Every query of this sequence",
        columns=(
            *(Column(title=title, values=tuple(values)) for title, values in words.items()),
            *numbers,
        ),
        definition="A query is a key that comes again; its value stands one place after the key. "
        "Weight on the value: A at the query's row and the value's column.",
        source=PAPER,
        n=1,
        n_of=f"sequence of {len(at)} queries",
        null=f"One sequence, so no interval; the null is the same head of the {TWIN}.",
    )
