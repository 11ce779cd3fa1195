"""The Triton kernels beside the dense float64 matrix on this machine's GPU.

Run `python -m interp.stats.triton_check`; it prints one line per precision and width, and exits
with 1 where a figure is off.
"""

import sys
from dataclasses import fields

import torch
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.kernels.backend import streamed
from interp.stats.naive import naive
from interp.stats.row_state import Spread
from interp.stats.wanted import Wanted
from models.forms import Dots

ALLOWED = 4e-6  # relative; logits stay below 10
KINDS = (torch.float32, torch.float16, torch.bfloat16)
WIDTHS = (32, 64, 80, 96, 128, 256)
TOKENS = 1000  # no multiple of any block


def worst(found: HeadStats, truth: HeadStats) -> tuple[float, str]:
    """The largest error of any statistic, relative to that statistic's largest value."""
    errors = [(0.0, "none")]
    for name, (a, b) in pairs(found, truth).items():
        scale = b.abs().max().clamp_min(1e-30)
        errors.append((((a.double() - b).abs().max() / scale).item(), name))
    return max(errors)


def pairs(found: object, truth: object) -> dict[str, tuple[Tensor, Tensor]]:
    """Every number that both have, by name."""
    both: dict[str, tuple[Tensor, Tensor]] = {}
    for field in fields(truth):
        a, b = getattr(found, field.name), getattr(truth, field.name)
        if isinstance(b, Spread):
            both |= {f"{field.name}.{name}": x for name, x in pairs(a, b).items()}
        elif b is not None and b.is_floating_point():
            both[field.name] = (a, b)
    return both


def main() -> int:
    """0 if every figure holds."""
    if not torch.cuda.is_available():
        sys.stdout.write("no GPU is here to check the kernels on; run this where there is one\n")
        return 2
    wanted = Wanted(
        apart=1, entropy=True, square=True, distance=True, received=True, block=100, valued=True
    )
    bad = 0
    for kind in KINDS:
        for d in WIDTHS:
            torch.manual_seed(d)
            q, k = (torch.randn(1, n, TOKENS, d, device="cuda").to(kind) for n in (4, 2))
            dots = Dots(q=q, k=k, scale=d**-0.5)
            norms = torch.rand(1, 4, TOKENS, device="cuda")
            error, name = worst(streamed(dots, wanted, norms), naive(dots, wanted, norms))
            bad += error > ALLOWED
            verdict = "ok" if error <= ALLOWED else "OFF"
            sys.stdout.write(f"{verdict:4}{str(kind):16} d={d:<4} worst {error:.1e} ({name})\n")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
