"""Rows: what is kept of every query row of every head, as arrays."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.wanted import Wanted
from interp.subject import Card

COLUMNS = 4  # first columns kept row by row
NUMBERS = 13  # kept of each row of each head: nine sums and the first columns
MOST_BYTES = 192 * 2**20  # of Rows; past it the rows are a sample


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """Row statistics of some sequences of one length; `w` = |A|. O(rows) per head."""

    at: Int[np.ndarray, " R"]  # positions of the rows, rising
    length: int  # tokens of a sequence; more than there are rows when those are a sample
    row_sum: Float[np.ndarray, "B L H R"]  # Σ_j A_ij
    mass: Float[np.ndarray, "B L H R"]  # Σ_j w_ij
    square: Float[np.ndarray, "B L H R"]  # Σ_j A_ij²
    log: Float[np.ndarray, "B L H R"]  # Σ_j w_ij ln w_ij
    peak: Float[np.ndarray, "B L H R"]  # max_j w_ij
    rest_mass: Float[np.ndarray, "B L H R"]  # the same four over j >= 1
    rest_square: Float[np.ndarray, "B L H R"]
    rest_log: Float[np.ndarray, "B L H R"]
    peak_rest: Float[np.ndarray, "B L H R"]
    first: Float[np.ndarray, "B L H R C"]  # A_ij of the first C columns

    @property
    def visible(self) -> Float[np.ndarray, " R"]:
        """Keys that each row can see."""
        return self.at + 1.0

    @staticmethod
    def joined(parts: list["Rows"]) -> "Rows":
        """Batches of sequences of one length, read at the same rows, as one."""
        arrays = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts])
            for f in fields(Rows)
            if f.name not in {"at", "length"}
        }
        return replace(parts[0], **arrays)


def most_rows(card: Card, sequences: int = 1) -> int:
    """Query rows whose numbers fit into MOST_BYTES, for every head of that many sequences."""
    return max(1, MOST_BYTES // (4 * NUMBERS * card.n_layers * card.n_heads * sequences))


def rows_wanted(block: int = 0, received: bool = False) -> Wanted:
    """The statistics that Rows holds, and more for the prompt itself."""
    return Wanted(
        apart=1,
        entropy=True,
        square=True,
        columns=tuple(range(COLUMNS)),
        block=block,
        received=received,
    )


def rows_of(stats: list[HeadStats], at: Int[Tensor, " R"], length: int) -> Rows:
    """Per-layer statistics stacked, as read-only float32 arrays."""

    def stacked(of: object) -> np.ndarray:
        return frozen(torch.stack([of(s) for s in stats], 1))

    positions = at.cpu().numpy().copy()
    positions.flags.writeable = False
    return Rows(
        at=positions,
        length=length,
        row_sum=stacked(lambda s: s.row_sum),
        mass=stacked(lambda s: s.every.mass),
        square=stacked(lambda s: s.every.square),
        log=stacked(lambda s: s.every.log),
        peak=stacked(lambda s: s.every.peak),
        rest_mass=stacked(lambda s: s.rest.mass),
        rest_square=stacked(lambda s: s.rest.square),
        rest_log=stacked(lambda s: s.rest.log),
        peak_rest=stacked(lambda s: s.rest.peak),
        first=stacked(lambda s: s.columns),
    )


def frozen(x: Tensor) -> np.ndarray:
    """A float32 CPU array that nobody can write to."""
    array = x.detach().float().cpu().numpy()
    array.flags.writeable = False
    return array
