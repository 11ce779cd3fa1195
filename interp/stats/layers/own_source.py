"""How a layer of ours is streamed: by the form it offers, else by the road that costs least."""

from interp.stats.layers.dots_source import DotsSource
from interp.stats.layers.probing import ProbingSource
from interp.stats.layers.strips import StripsSource
from interp.stats.layers.tiles import by_token
from interp.stats.recurrence.recurrent import RecurrentSource
from interp.stats.sources import Source
from models.attention.contract import Mixer, Projected
from models.forms import DotForm, RecurrentForm

AGREES = 1e-3  # of a head's largest entry: far over float32's rounding, far under another matrix


def source_of(mixer: Mixer, p: Projected) -> Source:
    """The Source of one layer's matrix, where p holds placed q and k."""
    if isinstance(mixer, DotForm):
        return DotsSource(mixer.dots(p), mixer.values(p), mixer.W_O)
    if isinstance(mixer, RecurrentForm):
        return RecurrentSource(mixer, p)
    if mixer.traits.subquadratic or mixer.traits.solves:
        return ProbingSource(mixer, p)
    return StripsSource(mixer, p)


def check_form(mixer: Mixer, p: Projected) -> None:
    """Raise ValueError where what the mixer offers for streaming is not the matrix it applies.

    A subclass that changes `scores` and inherits `dots` would otherwise get its parent's numbers.
    """
    source = source_of(mixer, p)
    applied = by_token(mixer.pattern(p), source.shape[2]).float()
    whole = slice(0, source.shape[2])
    for head in range(source.shape[1]):
        off = (source.window(head, whole, whole) - applied[:, head]).abs().max()
        if not off <= AGREES * applied[:, head].abs().max():
            raise ValueError(
                f"What {type(mixer).__name__} offers for streaming is not the matrix that it "
                f"applies: head {head} is off by {float(off):.2g}; give it a form "
                "of its own."
            )
