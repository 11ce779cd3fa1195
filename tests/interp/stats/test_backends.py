"""One suite for every backend: what checks.py demands, and refusals where one cannot do it."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace

import pytest
import torch
from torch import Tensor

from interp.stats.backends import BACKENDS
from interp.stats.head_stats import HeadStats
from interp.stats.wanted import Wanted
from models.forms import Dots
from tests.interp.stats import checks
from tests.interp.stats.cases import CASES
from tests.interp.stats.checks import CHECKS


@dataclass(frozen=True)
class Refusals:
    """What a backend says it cannot do; all else it must do."""

    options: frozenset[str] = frozenset()
    statistics: frozenset[str] = frozenset()


REFUSED = {name: Refusals() for name in BACKENDS} | {
    "algebra": Refusals(
        frozenset({"softcap", "window", "start", "query_at", "key_at"}),
        frozenset({"argmax", "top", "lags"}),
    )
}
GPU = torch.cuda.is_available()
HERE = [name for name in BACKENDS if name != "triton" or GPU]


def backend(name: str) -> checks.Backend:
    """A backend by name; kernels get their inputs on the GPU."""
    return on_gpu(BACKENDS[name]) if name == "triton" else BACKENDS[name]


def on_gpu(run: checks.Backend) -> checks.Backend:
    """The same with inputs carried to the GPU and results carried back."""

    def there(dots: Dots, wanted: Wanted, norms: Tensor | None) -> HeadStats:
        return carried(run(carried(dots, "cuda"), carried(wanted, "cuda"), norms.cuda()), "cpu")

    return there


def carried(x: object, device: str) -> object:
    """A dataclass, and those in it, with all tensors on a device."""
    parts = {f.name: getattr(x, f.name) for f in fields(x)}
    moved = {
        name: part.to(device) if isinstance(part, Tensor) else carried(part, device)
        for name, part in parts.items()
        if isinstance(part, Tensor) or is_dataclass(part)
    }
    return replace(x, **moved)


def pairs(can: bool) -> list[tuple[str, str]]:
    """Backends and cases that they can, or cannot, do."""
    return [
        (name, case)
        for name in HERE
        for case in CASES
        if can == (not CASES[case].options & REFUSED[name].options)
    ]


@pytest.mark.parametrize(("name", "case"), [x for x in pairs(True) if x[0] != "naive"])
def test_every_field_is_that_of_the_dense_matrix(name: str, case: str) -> None:
    checks.equals_truth(backend(name), CASES[case], REFUSED[name].statistics)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        (name, f)
        for name in HERE
        for f, needs in CHECKS.items()
        if not needs & REFUSED[name].options
    ],
)
def test_property(name: str, check: Callable) -> None:
    check(backend(name), REFUSED[name].statistics)


@pytest.mark.parametrize(("name", "case"), pairs(False))
def test_what_a_backend_cannot_do_it_refuses(name: str, case: str) -> None:
    options = sorted(CASES[case].options & REFUSED[name].options)
    checks.refuses(backend(name), CASES[case], "|".join(options))


@pytest.mark.parametrize(
    ("name", "statistic"), [(n, s) for n in HERE for s in sorted(REFUSED[n].statistics)]
)
def test_statistics_a_backend_cannot_give_it_refuses(name: str, statistic: str) -> None:
    checks.refuses_statistic(backend(name), statistic)


def test_cases_use_every_option_of_the_form() -> None:
    used = set().union(*(case.options for case in CASES.values()))
    assert used == {"softcap", "window", "query_bias", "sink", "start", "query_at", "key_at"}
