"""VARIANTS: every attention variant by name. A new one is a file in attention/ and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from models.attention.contract import HeadConfig, Mixer, Traits
from models.attention.delta import Delta
from models.attention.linear import Linear
from models.attention.sink_logit import SinkLogit
from models.attention.softmax import Softmax


@dataclass(frozen=True)
class Variant:
    """One attention variant and where it comes from."""

    mixer: Callable[[HeadConfig], Mixer]
    title: str
    paper: str

    @property
    def traits(self) -> Traits:
        """What probes may assume of this variant's matrix."""
        return self.mixer.traits


VARIANTS: dict[str, Variant] = {
    "softmax": Variant(
        Softmax, "Softmax attention (MHA, GQA, MQA)", "Vaswani et al. 2017, arXiv 1706.03762"
    ),
    "sink_logit": Variant(SinkLogit, "Learned sink logit", "OpenAI 2025, gpt-oss model card"),
    "linear": Variant(
        Linear, "Linear attention, elu + 1", "Katharopoulos et al. 2020, arXiv 2006.16236"
    ),
    "delta": Variant(Delta, "DeltaNet", "Schlag et al. 2021, arXiv 2102.11174"),
}


def variant(name: str) -> Variant:
    """The variant of that name; raises ValueError with the names there are."""
    if name not in VARIANTS:
        raise ValueError(f"no attention variant {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
