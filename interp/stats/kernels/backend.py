"""Statistics of softmax heads by Triton kernels: where they can run, and a refusal elsewhere."""

from importlib.util import find_spec
from os import environ

import torch
from jaxtyping import Float
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.wanted import Wanted
from models.forms import Dots


def streamed(dots: Dots, wanted: Wanted, norms: Float[Tensor, "B H S"] | None = None) -> HeadStats:
    """Every statistic in float32, in O(n) memory, the same on every run.

    Raises ValueError without a GPU or without triton, and for heads wider than the kernels hold.
    """
    refuse(dots.q.device)
    # Not at the top of the file: triton is imported on machines that have it and ask for it.
    from interp.stats.kernels.measure import measured

    return measured(dots, wanted, norms)


def refuse(device: torch.device) -> None:
    """ValueError where the kernels cannot run; in Triton's interpreter they run on any device."""
    if find_spec("triton") is None:
        raise ValueError(
            "triton is not installed, so its kernels cannot run; install triton "
            "or leave the backend to be chosen by the device"
        )
    if device.type != "cuda" and environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"triton kernels run on a GPU and the queries are on {device}; "
            "move q and k to cuda or leave the backend to be chosen by the device"
        )
