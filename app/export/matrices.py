"""One head's matrix as a picture with its tokens, and as a sheet where it is not too large."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float

from app.downloads import written
from app.export.pictures import DRAWN, Caption, drawn
from app.export.words import words
from app.heatmaps import heat
from interp.matrices import matrix
from interp.subject import Card

SHEET = 512  # tokens of a sheet, at most: 10 MB


def of_matrix(
    card: Card, pattern: Float[np.ndarray, "T T"], tokens: Sequence[str], head: str
) -> dict[str, partial]:
    """What makes each kind of file."""
    pictures = {kind: partial(picture, kind, card, pattern, tokens, head) for kind in DRAWN}
    sheet = {"csv": partial(sheet_csv, pattern, tokens)} if len(tokens) <= SHEET else {}
    return sheet | pictures


def sheet_csv(pattern: Float[np.ndarray, "T T"], tokens: Sequence[str]) -> str:
    """A line for every query, a column for every key."""
    header = ["query", "token", *(f"{i} {token}" for i, token in enumerate(tokens))]
    rows = ([i, token, *map(float, pattern[i])] for i, token in enumerate(tokens))
    return written(header, rows)


def picture(
    kind: str, card: Card, pattern: Float[np.ndarray, "T T"], tokens: Sequence[str], head: str
) -> bytes | str:
    """The matrix as "png", "svg" or "pdf"."""
    shown = matrix(pattern, tokens, head, not card.reads_shares)
    source = f"{card.title}, digest {card.digest}, on {card.device}."
    lines = (f"Unit: {shown.unit}. {words(shown)}", f"{shown.definition} {shown.source}.", source)
    return drawn(kind, heat(shown), Caption(shown.title, lines))
