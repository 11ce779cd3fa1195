"""A score of all heads as a heat map: layers down, heads across, its controls beside it."""

import numpy as np

from interp.exhibits import Heat
from interp.result import Score


def score_grid(score: Score, title: str = "") -> Heat:
    """The map of a score, under its own title unless another is given."""
    layers, heads = score.value.shape
    return Heat(
        key=score.key,
        title=title or score.title,
        row_title="layer",
        column_title="head",
        rows=tuple(f"L{layer}" for layer in range(layers)),
        columns=tuple(f"H{head}" for head in range(heads)),
        unit=score.unit,
        provenance=score.provenance,
        definition=score.definition,
        source=score.source,
        value=score.value,
        low=score.low,
        high=score.high,
        n=int(score.n.max(initial=0)),
        n_of=score.n_of,
        nulls={control.name: control.value for control in score.controls},
        signed=bool(np.nanmin(score.value, initial=0.0) < 0),
        note=score.note,
    )
