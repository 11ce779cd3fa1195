"""From per-row numbers to Scores: what the prompt probes share."""

import numpy as np
from jaxtyping import Float

from interp.measurements.prompt import PromptControls, PromptReading
from interp.measurements.rows import Rows
from interp.nulls import block_length, mean_interval
from interp.result import Control, Provenance, Score
from interp.subject import Card

TWIN = "random-init twin"
SHUFFLED = "shuffled prompt"
SAME = "one token repeated"

# A metric per row: [B, L, H, T] with NaN where it is not defined.
RowMetric = Float[np.ndarray, "B L H T"]


def by_head(rows: RowMetric) -> Float[np.ndarray, "L H N"]:
    """All rows of all sequences as samples of each head."""
    b, l, h, t = rows.shape
    return rows.transpose(1, 2, 0, 3).reshape(l, h, b * t)


def control(name: str, expectation: str, is_null: bool, rows: RowMetric, seed: int) -> Control:
    """A control's mean over rows with its block-bootstrap interval."""
    value, low, high, n = mean_interval(by_head(rows), block_length(rows.shape[-1]), seed)
    return Control(
        name=name, expectation=expectation, is_null=is_null, value=value, low=low, high=high, n=n
    )


def score(
    rows: RowMetric, reading: PromptReading, controls: tuple[Control, ...], **words: object
) -> Score:
    """A prompt score: mean over query rows; `words` are the Score's descriptive fields."""
    block = block_length(rows.shape[-1])
    value, low, high, n = mean_interval(by_head(rows), block, reading.request.seed)
    return Score(
        value=value,
        low=low,
        high=high,
        n=n,
        n_of=f"{which_rows(reading)} (interval: bootstrap in blocks of {block})",
        controls=controls,
        **words,
    )


def which_rows(reading: PromptReading) -> str:
    """What the rows are that a mean was taken over."""
    read, length = len(reading.rows.at), reading.rows.length
    if read == length:
        return "query rows of this prompt"
    return f"of {read:,} query rows, drawn at random from this prompt's {length:,}"


def kind(card: Card, signed: Provenance = "proxy") -> Provenance:
    """Provenance of a number that reads shares: a proxy where the matrix has none as it stands."""
    if not card.exact:
        return "estimator"
    return "measured" if card.reads_shares else signed


def each(controls: PromptControls | None) -> dict[str, Rows]:
    """Controls by name, in the order they are shown; empty while they are being measured."""
    if controls is None:
        return {}
    return {TWIN: controls.twin, SHUFFLED: controls.shuffled, SAME: controls.same_token}
