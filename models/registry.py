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
    """One attention variant, where it comes from, and what stands witness that it is that."""

    mixer: Callable[[HeadConfig], Mixer]
    title: str
    paper: str  # authors, year, arXiv number or repository
    reference: str  # an implementation by others that tests hold it to
    error: float  # largest relative difference found, in value and gradient, rounded up

    @property
    def traits(self) -> Traits:
        """What probes may assume of this variant's matrix."""
        return self.mixer.traits


VARIANTS: dict[str, Variant] = {
    # softmax and its relatives
    "softmax": Variant(Softmax, "Softmax attention (MHA, GQA, MQA)", "Vaswani et al. 2017, arXiv 1706.03762", "torch scaled_dot_product_attention", 1e-12),
    "sink_logit": Variant(SinkLogit, "Learned sink logit", "OpenAI 2025, gpt-oss model card", "transformers gpt_oss eager_attention_forward", 1e-12),
    # masks
    # latent and shared keys
    # linear, without decay
    "linear": Variant(Linear, "Linear attention, elu + 1", "Katharopoulos et al. 2020, arXiv 2006.16236", "fla linear_attn naive_recurrent_linear_attn", 1e-5),
    # linear, with decay
    # delta rule
    "delta": Variant(Delta, "DeltaNet", "Schlag et al. 2021, arXiv 2102.11174", "fla delta_rule delta_rule_recurrence", 1e-5),
    # back to softmax
}  # fmt: skip


def variant(name: str) -> Variant:
    """The variant of that name; raises ValueError with the names there are."""
    if name not in VARIANTS:
        raise ValueError(f"no attention variant {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
