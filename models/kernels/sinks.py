"""One learned key in front of all tokens, for variants that give a head somewhere else to look.

Its weight is 1 - row sum, so a value v* that stands there needs no column of its own:
Σ_j A_ij v_j + (1 - Σ_j A_ij) v* = v* + Σ_j A_ij (v_j - v*).
"""

from jaxtyping import Float
from torch import Tensor

from models.attention.contract import repeat_groups
from models.kernels.softmax import dot


def sink_logit(q: Float[Tensor, "B H T D"], key: Float[Tensor, "G D"]) -> Float[Tensor, "B H T"]:
    """q·k* / √D for one key per key/value head."""
    return dot(q, key[:, None].expand(len(q), -1, -1, -1))[..., 0]


def less_sink_value(
    v: Float[Tensor, "B G S V"], value: Float[Tensor, "G V"]
) -> Float[Tensor, "B G S V"]:
    """v - v*, which is what the matrix multiplies."""
    return v - value[:, None]


def plus_sink_value(
    o: Float[Tensor, "B H T V"], value: Float[Tensor, "G V"]
) -> Float[Tensor, "B H T V"]:
    """v* + o, which makes up for it after the matrix."""
    return o + repeat_groups(value[None], o.shape[1])[:, :, None]
