"""The one device models live on: the first CUDA GPU where there is one, else the CPU."""

from functools import cache

import torch


@cache
def device() -> torch.device:
    """Chosen once per process."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_words() -> str:
    """The device for people: its name and memory, or the CPU threads torch uses."""
    if device().type == "cuda":
        card = torch.cuda.get_device_properties(device())
        return f"GPU, {card.name}, {card.total_memory / 2**30:.0f} GiB"
    return f"CPU, {torch.get_num_threads()} threads"
