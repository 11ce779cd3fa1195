"""Run in a process of its own with TRITON_INTERPRET=1: the kernels, interpreted, against the truth.

Prints one line per check, which the test reads. Sizes are small: a tile takes 20 ms.
"""

import sys
import traceback
from collections.abc import Callable
from dataclasses import replace

import torch

from interp.stats.backends import BACKENDS
from interp.stats.wanted import Wanted
from tests.interp.stats import checks
from tests.interp.stats.cases import CASES, Case

RUN = BACKENDS["triton"]
SIZES = (32, 64, 80, 96, 128, 256)
KINDS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHARED = (
    "1 tokens",
    "decoding",
    "apart from all",
    "65 tokens, odd width",
    "spread of 30",
    "gate bias",
    "sink logit and bias",
    "window of 1",
    "window and sinks",
    "softcap, spread of 30",
    "padding and window",
    "some keys, some rows",
    "rows after the keys",
    "all at once",
)
LOOKED_UP = {"65 tokens, odd width", "all at once"}  # with what torch and not a kernel finds
# Those that are sums in the kernels; keys in order of weight are the work of torch.
SUMS = Wanted(
    apart=1, entropy=True, square=True, distance=True, received=True, block=24, valued=True
)


def lean(case: Case) -> Case:
    """The same with two query heads per sequence, or one, and no more than two sequences."""
    start = None if case.start is None else case.start[-2:]
    groups = None if case.groups is None else 1
    return replace(
        case, heads=min(case.heads, 2), groups=groups, batch=min(case.batch, 2), start=start
    )


def shared(name: str) -> None:
    """A case of the suite that all backends pass."""
    without = set() if name in LOOKED_UP else {"argmax", "top", "lags"}
    checks.equals_truth(RUN, lean(CASES[name]), without)


def width(d: int, kind: str) -> None:
    """Heads d wide in one precision; 70 tokens leave a ragged tile."""
    dots, norms = Case(t=70, heads=1, d=d, dtype=KINDS[kind]).build()
    checks.same(RUN(dots, SUMS, norms), checks.naive(dots, SUMS, norms), checks.bound(dots))


def twice() -> None:
    """The same numbers to the last bit."""
    dots, norms = lean(CASES["padding and window"]).build()
    first, second = (checks.flat(RUN(dots, SUMS, norms)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def jobs() -> dict[str, Callable[[], None]]:
    """Every check by name; all widths in float32, and the narrow types at some."""
    found = {name: lambda name=name: shared(name) for name in SHARED}
    pairs = [(d, "float32") for d in SIZES] + [(64, "float16"), (64, "bfloat16"), (80, "bfloat16")]
    found |= {f"{d} wide, {kind}": lambda d=d, kind=kind: width(d, kind) for d, kind in pairs}
    return found | {"twice": twice, "statistics one by one": one_by_one}


def one_by_one() -> None:
    """What is not asked for is not there."""
    checks.only_what_is_wanted(RUN, set())


def main(names: list[str]) -> None:
    """Run checks by name, or all of them."""
    torch.set_num_threads(1)
    found = jobs()
    for name in names or found:
        try:
            found[name]()
        except Exception:
            sys.stdout.write(f"FAILED {name}\n{traceback.format_exc()}\n")
        else:
            sys.stdout.write(f"passed {name}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
