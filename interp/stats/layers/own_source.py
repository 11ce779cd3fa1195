"""How a layer of ours is streamed: by the form it offers, else by the road that costs least."""

from interp.stats.layers.dots_source import DotsSource
from interp.stats.layers.probing import ProbingSource
from interp.stats.layers.strips import StripsSource
from interp.stats.recurrence.recurrent import RecurrentSource
from interp.stats.sources import Source
from models.attention.contract import Mixer, Projected
from models.forms import DotForm, RecurrentForm


def source_of(mixer: Mixer, p: Projected) -> Source:
    """The Source of one layer's matrix, where p holds placed q and k."""
    if isinstance(mixer, DotForm):
        return DotsSource(mixer.dots(p), mixer.values(p), mixer.W_O)
    if isinstance(mixer, RecurrentForm):
        return RecurrentSource(mixer, p)
    if mixer.traits.subquadratic or mixer.traits.solves:
        return ProbingSource(mixer, p)
    return StripsSource(mixer, p)
