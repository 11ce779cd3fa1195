"""The backend of stock attention calls: the calls themselves, float32, long rows, memory."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interp.stats.backends import BACKENDS
from interp.stats.naive import naive
from interp.stats.softmax.algebra import algebra, attend, in_precision
from interp.stats.wanted import Wanted
from models.forms import Dots
from tests.interp.stats import checks
from tests.interp.stats.cases import CASES, Case, everything

CANNOT = {"argmax", "top", "lags"}
FORMS = {"softcap", "window", "start", "query_at", "key_at"}
PLAIN = [name for name in CASES if not CASES[name].options & FORMS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("t", "s", "width", "v_width"), [(1, 1, 1, 1), (5, 5, 8, 3), (33, 33, 13, 8), (70, 9, 16, 16)]
)
def test_the_call_is_causal_attention(
    dtype: torch.dtype, t: int, s: int, width: int, v_width: int
) -> None:
    """Whatever the widths and strides: given transposed numbers, the CPU call reads others."""
    q, k, v = (
        torch.randn(2, 3, w, n, dtype=dtype).mT for w, n in ((width, t), (width, s), (v_width, s))
    )
    out, lse = attend(q, k, v)
    z = (q @ k.mT).masked_fill(torch.ones(t, s).triu(1).bool(), -torch.inf)
    near = dict(rtol=1e-5, atol=1e-6) if dtype == torch.float32 else dict(rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lse, z.logsumexp(-1), **near)
    torch.testing.assert_close(out, z.softmax(-1) @ v, **near)


@pytest.mark.parametrize("name", PLAIN)
def test_calls_in_float32(name: str) -> None:
    """What CUDA gives: at these lengths within the bound of float32 logits and biases."""
    case = CASES[name]
    dots, norms = case.build()
    wanted = everything(dots, case.apart, case.block, CANNOT)
    found, truth = in_precision(torch.float32, dots, wanted, norms), naive(dots, wanted, norms)
    checks.same(found, truth, 2 * checks.bound(dots))


def test_entropy_in_float32_is_as_good_as_it_says() -> None:
    """3e-7 of the largest logit, in nats, and no better: a difference of large numbers."""
    dots, norms = Case(t=400, heads=2, d=64, deviation=30.0).build()
    wanted = Wanted(entropy=True, apart=1)
    found, truth = in_precision(torch.float32, dots, wanted, norms), naive(dots, wanted, norms)
    z = dots.logits()
    allowed = 3e-7 * z[z.isfinite()].abs().max()
    for part in ("every", "rest"):
        error = (getattr(found, part).entropy - getattr(truth, part).entropy).abs()
        assert error[..., 1:].max() <= allowed
    in_double = algebra(dots, wanted, norms).every.entropy - truth.every.entropy
    assert in_double.abs().max() < 1e-6 < (found.every.entropy - truth.every.entropy).abs().max()


def long(n: int) -> tuple[Dots, Tensor]:
    """Two heads on the same keys, the first of which is what the first head asks for."""
    dots, norms = Case(t=n, heads=2, groups=1, d=64, deviation=2.0, sink=True).build()
    first = 4 * dots.q[:, :1].mean(2, keepdim=True)
    k = torch.cat([first, dots.k[:, :, 1:]], 2)
    return replace(dots, k=k), norms


def test_chunked_agrees_on_rows_too_long_for_the_dense_matrix() -> None:
    dots, norms = long(2309)
    wanted = everything(dots, apart=1, block=100, without=CANNOT)
    found = BACKENDS["chunked"](dots, wanted, norms)
    last = dots.part(slice(-64, None), slice(None))
    checks.same(found, algebra(dots, wanted, norms), checks.bound(last))


class Largest(TorchDispatchMode):
    """The most numbers that any result of an operation has held."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> object:
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else [result]:
            if isinstance(x, Tensor):
                self.numbers = max(self.numbers, x.numel())
        return result


def test_no_matrix_is_built() -> None:
    """Twice the tokens, twice the largest tensor; the matrix would have four times the numbers."""
    sizes = {}
    for n in (700, 1400):
        dots, norms = Case(t=n, heads=1, d=8).build()
        wanted = everything(dots, block=100, without=CANNOT)
        with Largest() as seen:
            algebra(dots, wanted, norms)
        sizes[n] = seen.numbers
    assert sizes[1400] <= 2.1 * sizes[700] and sizes[1400] < 1400**2 / 5


def test_a_device_without_such_a_call_is_refused() -> None:
    dots = Dots(q=torch.zeros(1, 1, 3, 8), k=torch.zeros(1, 1, 3, 8), scale=1.0)
    dots = replace(dots, q=dots.q.to("meta"), k=dots.k.to("meta"))
    with pytest.raises(ValueError, match="on meta; move q and k to cpu or cuda"):
        algebra(dots, Wanted())


def test_more_queries_than_keys_are_refused() -> None:
    dots = Dots(q=torch.zeros(1, 1, 4, 8), k=torch.zeros(1, 1, 3, 8), scale=1.0)
    with pytest.raises(ValueError, match="4 queries at the last of 3 keys"):
        algebra(dots, Wanted())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", PLAIN)
def test_calls_on_cuda(name: str) -> None:
    case = CASES[name]
    dots, norms = case.build()
    wanted = everything(dots, case.apart, case.block, CANNOT)
    tensors = {x: y.cuda() for x, y in vars(dots).items() if isinstance(y, Tensor)}
    on_cuda = replace(wanted, targets=wanted.targets.cuda())
    found = algebra(replace(dots, **tensors), on_cuda, norms.cuda())
    truth = checks.flat(naive(dots, wanted, norms))
    found = checks.flat(found)
    for field in set(truth) - checks.KEYS - {"every.log", "rest.log", "distance", "lse"}:
        checks.close(found[field].cpu(), truth[field], 4 * checks.bound(dots), field)
    for field in ("every.log", "rest.log", "distance", "lse"):
        torch.testing.assert_close(
            found[field].cpu().double(), truth[field], rtol=1e-5, atol=4 * checks.bound(dots)
        )
