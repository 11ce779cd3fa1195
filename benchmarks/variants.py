"""Every variant's `mix`, forward and backward on the CPU, beside PyTorch's fused attention.

Each time is the best of a few; the growth exponent is log(time at 4k / time at 1k) / log 4: about 1
for what grows like T and 2 for what grows like T². A variant that claims to be subquadratic and
whose exponent is above 1.5 makes the command fail.
"""

import argparse
import math
import sys
import time

import torch

from benchmarks.machine import machine
from models.attention.contract import Mixer, Projected
from models.registry import VARIANTS
from models.table import widths

LENGTHS = (256, 1024, 4096)
LINEAR = 1.5  # largest exponent of a variant that claims to be subquadratic
HEAD = "| variant | grows like T | 256 | 1024 | 4096 | exponent | times fused softmax at 4096 |\n"


def leaf(x: torch.Tensor) -> torch.Tensor:
    """A tensor of its own that collects a gradient."""
    return x.detach().clone().requires_grad_()


def projections(mixer: Mixer, length: int) -> Projected:
    """q, k, v and extras of random input, without rotation."""
    x = torch.randn(1, length, mixer.W_O.shape[-1])
    p = mixer.place(mixer.project(x), torch.arange(length), lambda x, where: x)
    return Projected(leaf(p.q), leaf(p.k), leaf(p.v), {n: leaf(t) for n, t in p.extra.items()})


def best(mixer: Mixer, length: int, repeats: int) -> float:
    """Milliseconds of one forward and backward pass of `mix`."""
    p, found = projections(mixer, length), []
    weight = torch.randn(mixer.mix(p).shape)  # a plain sum's gradient has strides of zero: slow
    for _ in range(repeats + 1):
        start = time.perf_counter()
        mixer.mix(p).backward(weight)
        found.append(1000 * (time.perf_counter() - start))
    return min(found[1:])


def measure(name: str, repeats: int) -> list[float]:
    """Milliseconds at each length."""
    torch.manual_seed(0)
    made = VARIANTS[name]
    mixer = made.mixer(widths(made.traits))
    return [best(mixer, length, repeats) for length in LENGTHS]


def main() -> None:
    """Print the table; exit 1 if a variant that claims O(T) does not keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(VARIANTS), help="variants; default: all")
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    print(machine() + "\nmilliseconds, E = 256, eight heads of 32, one sequence, float32\n")
    print(HEAD + "|---|---|---|---|---|---|---|")
    peer, late = measure("softmax", wanted.repeats)[-1], []
    for name in wanted.names:
        times = measure(name, wanted.repeats)
        exponent = math.log(times[2] / times[1], LENGTHS[2] / LENGTHS[1])
        claims = VARIANTS[name].traits.subquadratic
        if claims and exponent > LINEAR:
            late.append(name)
        cells = [f"{t:.1f}" for t in times] + [f"{exponent:.2f}", f"{times[2] / peer:.2f}"]
        print(f"| `{name}` | {'yes' if claims else 'no'} | {' | '.join(cells)} |", flush=True)
    if late:
        sys.exit(f"claims to grow like T and does not: {', '.join(late)}")


if __name__ == "__main__":
    main()
