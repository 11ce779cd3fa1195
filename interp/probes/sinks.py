"""Attention sinks: how much attention rests on the first tokens (Gu et al. 2025)."""

import numpy as np

from interp.measurements.prompt import PromptControls, PromptReading
from interp.measurements.rows import COLUMNS, Rows
from interp.nulls import proportion_interval, uniform_column
from interp.probes.rows import SAME, SHUFFLED, TWIN, RowMetric, control, each, kind, score
from interp.result import Figure, Result, Score
from interp.subject import Card

SOURCE = "Gu et al. 2025, ICLR, arXiv 2410.10781"
EPSILON = 0.3  # their threshold; not principled, so the share itself is always shown first

EXPECT = {
    TWIN: "uniform: a model that learned nothing spreads its attention",
    SHUFFLED: "about the same: sinks hold on to a place, not to meaning",
    SAME: "near uniform under rotary or no positions: all keys are alike",
}


def share(rows: Rows, column: int, signed: bool, skip: int = 0) -> RowMetric:
    """Weight on a column, of each row that can see it; on |A| / Σ|A| where A is signed.

    `skip` leaves that many rows out from the column's own on.
    """
    weight = rows.first[..., column]
    if signed:
        weight = np.abs(weight) / np.maximum(rows.mass, np.finfo(np.float32).tiny)
    return np.where(rows.at >= column + skip, weight, np.nan)


def column_score(
    reading: PromptReading, controls: PromptControls | None, card: Card, column: int
) -> Score:
    """alpha_k of Gu et al.: mean weight on column k over the rows that see it."""
    signed = not card.reads_shares
    return score(
        share(reading.rows, column, signed),
        reading,
        tuple(
            control(
                name, EXPECT[name], name == TWIN, share(r, column, signed), reading.request.seed
            )
            for name, r in each(controls).items()
        ),
        key="sink" if column == 0 else f"sink{column}",
        title=f"Sink share, token {column}",
        unit="share of attention",
        low_end=0.0,
        high_end=1.0,
        provenance=kind(card),
        definition=(
            f"Mean attention to token {column} over the queries at or after it (alpha_{column + 1} "
            "in the paper, which counts from 1). The diagonal counts, as in the paper, so that "
            "published values compare: row 0 puts 1 on token 0. "
            "Rival: the same without the diagonal."
        ),
        source=SOURCE,
        uniform=uniform_column(reading.rows.at, column),
    )


def later_score(reading: PromptReading, controls: PromptControls | None, card: Card) -> Score:
    """The rival convention: row 0 sees nothing but token 0, so leave it out."""
    signed = not card.reads_shares
    return score(
        share(reading.rows, 0, signed, 1),
        reading,
        tuple(
            control(name, EXPECT[name], name == TWIN, share(r, 0, signed, 1), reading.request.seed)
            for name, r in each(controls).items()
        ),
        key="sink_later",
        title="Sink share, token 0, later rows only",
        unit="share of attention",
        low_end=0.0,
        high_end=1.0,
        provenance=kind(card),
        definition=(
            "Mean attention to token 0 over the queries after it: the sink share without row 0, "
            "which adds 1/T whatever a head does. Not the default: the paper's counts row 0."
        ),
        source=SOURCE,
        uniform=uniform_column(reading.rows.at[reading.rows.at > 0]),
    )


def boost_score(reading: PromptReading, controls: PromptControls | None, card: Card) -> Score:
    """The sink share in units of what uniform attention gives token 0."""
    signed = not card.reads_shares

    def boosted(rows: Rows) -> RowMetric:
        return share(rows, 0, signed) / uniform_column(rows.at)

    return score(
        boosted(reading.rows),
        reading,
        tuple(
            control(name, EXPECT[name], name == TWIN, boosted(r), reading.request.seed)
            for name, r in each(controls).items()
        ),
        key="sink_boost",
        title="Boost of token 0",
        unit="times uniform",
        low_end=0.0,
        high_end=None,
        provenance="derived" if kind(card) == "measured" else kind(card),
        definition=(
            "Sink share of token 0 over that of uniform causal attention, H_T / T: unlike the "
            "share it can be compared between lengths."
        ),
        source="closed form; Gu et al. 2025, arXiv 2410.10781",
        uniform=1.0,
    )


def slot_score(reading: PromptReading, controls: PromptControls | None, card: Card) -> Score:
    """Mass on the virtual key of a learned sink: the same phenomenon in another place."""
    words = {
        TWIN: "whatever the untrained sink logit takes",
        SHUFFLED: "about the same",
        SAME: "about the same",
    }
    return score(
        1.0 - reading.rows.row_sum.astype(np.float64),
        reading,
        tuple(
            control(name, words[name], name == TWIN, 1.0 - r.row_sum, reading.request.seed)
            for name, r in each(controls).items()
        ),
        key="sink_slot",
        title="Sink slot",
        unit="share of attention",
        low_end=0.0,
        high_end=1.0,
        provenance="measured",
        definition="1 minus the row sum: attention the head puts on its learned sink, on nothing.",
        source="OpenAI 2025, gpt-oss; Xiao et al. 2024, arXiv 2309.17453",
        uniform=None,
    )


def signed_score(reading: PromptReading, controls: PromptControls | None, card: Card) -> Score:
    """The column mean as applied, for matrices whose entries are no shares."""
    return score(
        reading.rows.first[..., 0].astype(np.float64),
        reading,
        tuple(
            control(name, EXPECT[name], name == TWIN, r.first[..., 0], reading.request.seed)
            for name, r in each(controls).items()
        ),
        key="sink_signed",
        title="Weight on token 0, as applied",
        unit="weight",
        low_end=None,
        high_end=None,
        provenance="measured",
        definition="Mean entry of column 0 as applied, sign kept; rows do not sum to 1.",
        source="definition of the matrix, models/README.md",
        uniform=None,
    )


def sink_rate(scores: list[Score], column: int) -> Figure:
    """Sink_k^eps: the share of heads with alpha_k above eps, with Wilson's interval over heads."""
    alpha = scores[column].value
    twin = next((c for c in scores[column].controls if c.name == TWIN), None)
    hits, n = int((alpha > EPSILON).sum()), alpha.size
    low, high = proportion_interval(hits, n)
    null_hits = 0 if twin is None else int((twin.value > EPSILON).sum())
    null_low, null_high = (np.nan, np.nan) if twin is None else proportion_interval(null_hits, n)
    return Figure(
        key=f"sink_rate{column}",
        title=f"Heads with a sink on token {column}",
        unit="share of heads",
        provenance="proxy" if scores[column].provenance == "proxy" else "derived",
        definition=f"Sink_{column + 1} at eps = {EPSILON}: heads whose share exceeds {EPSILON}.",
        value=hits / n,
        low=low,
        high=high,
        n=n,
        n_of="heads",
        null=None if twin is None else null_hits / n,
        null_name=TWIN,
        null_low=null_low,
        null_high=null_high,
        note="The null is still to be measured." if twin is None else "",
    )


def score_sinks(reading: PromptReading, controls: PromptControls | None, card: Card) -> Result:
    """Sink shares of the first tokens for every head."""
    seen = range(min(COLUMNS, len(reading.request.ids)))
    columns = [column_score(reading, controls, card, k) for k in seen]
    extra = []
    if card.sink_slot:
        extra.append(slot_score(reading, controls, card))
    if not card.reads_shares:
        extra.append(signed_score(reading, controls, card))
    return Result(
        probe="sinks",
        model=card.name,
        digest=card.digest,
        device=card.device,
        request=reading.request.plain(),
        scores=(
            columns[0],
            *extra,
            *columns[1:],
            later_score(reading, controls, card),
            boost_score(reading, controls, card),
        ),
        figures=tuple(sink_rate(columns, k) for k in seen),
        notes=(
            "Sink share falls with length by construction: compare prompts of one length only.",
        ),
    )
