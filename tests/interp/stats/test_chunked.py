"""The tiled backend: borders of tiles, time and memory that follow the work, accuracy, threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F

from interp.stats.head_stats import HeadStats
from interp.stats.naive import naive
from interp.stats.row_state import RowState
from interp.stats.softmax import chunked as module
from interp.stats.softmax.chunked import chunked, shares, spread
from interp.stats.softmax.heads import LN2
from interp.stats.softmax.points import at_keys
from interp.stats.softmax.tile_pass import Parts, largest
from interp.stats.softmax.tiling import Layout, Size
from interp.stats.wanted import Wanted
from models.forms import Dots
from tests.interp.stats.cases import Case, everything

SIZES = [Size(3, 4, 2), Size(8, 16, 1), Size(4, 7, 5)]


def worst(found: HeadStats, truth: HeadStats, whole: bool = False) -> dict[str, float]:
    """Largest relative error in every field (of integers the share that differs).

    With `whole` the norm of a field's error over that of the field: a row with one logit far above
    the rest has sums near 0, and float32 products of 64 terms know logits of 16 to 4e-6 only.
    """
    errors = {}
    for field in fields(truth):
        x, y = getattr(found, field.name), getattr(truth, field.name)
        if field.name in ("every", "rest"):
            errors |= {f"{field.name}.{k}": v for k, v in worst(x, y, whole).items()}
        elif whole and y is not None and y.is_floating_point():
            errors[field.name] = ((x - y).norm() / y.norm()).item()
        elif y is not None and y.is_floating_point():
            # The log-sum-exp is compared as it is used: a difference of it is a factor of weights.
            scale = 1 if field.name == "lse" else y.abs().clamp_min(1e-12)
            errors[field.name] = ((x - y).abs() / scale).max().item()
        elif y is not None:
            errors[field.name] = (x != y).double().mean().item()
    return errors


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 16, 17, 33])
def test_borders_of_tiles_leave_no_trace(size: Size, n: int) -> None:
    dots, norms = Case(t=n, heads=6, groups=2, d=8, apart=2).build()
    wanted = everything(dots, apart=2, block=5)
    errors = worst(chunked(dots, wanted, norms, size), naive(dots, wanted, norms))
    assert max(errors.values()) < 4e-6, errors


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        dict(window=5, sinks=3),
        dict(window=3, start=(0, 6), batch=2),
        dict(bias="gate", sink=True),
        dict(start=(2, 33), batch=2, sink=True),
        dict(query_at=(0, 3, 4, 30), s=33),
    ],
    ids=lambda options: ", ".join(options),
)
def test_options_at_borders_of_tiles(size: Size, options: dict) -> None:
    dots, norms = Case(t=33, groups=2, d=8, **options).build()
    wanted = everything(dots, apart=6, block=5)
    errors = worst(chunked(dots, wanted, norms, size), naive(dots, wanted, norms))
    assert max(errors.values()) < 4e-6, errors


def test_sums_of_tiles_merge_as_row_states_do() -> None:
    s = torch.randn(3, 4, 2, 5, 6) * 3  # blocks of rows, tiles, heads, rows, keys
    s[1, 2:] = -torch.inf
    parts = Parts.empty(("m", "l", "e", "z"), (3, 4, 2, 5), s)
    for block in range(3):
        parts.used.append(0)
        for tile in range(2 if block == 1 else 4):
            state, sums = RowState.of(s[block, tile]), parts.take(5)
            for name in sums:
                sums[name].copy_(getattr(state, name) / (LN2 if name in "me" else 1))
    merged = parts.merged()
    one = RowState.of(s[:, 0].double())
    for tile in range(1, 4):
        one = one.merge(RowState.of(s[:, tile].double()))
    for name in ("m", "l", "e", "z"):
        expected = getattr(one, name).transpose(0, 1).flatten(1)
        torch.testing.assert_close(getattr(merged, name), expected, rtol=2e-6, atol=2e-6)


def peaked(n: int, deviation: float, sink: float) -> Dots:
    """One head of random logits of some deviation, and of key 0 that much more."""
    q, k = torch.randn(1, 2, n, 64), torch.randn(1, 1, n, 64)
    q[..., 0], k[..., 0] = 8.0, 0.0
    k[:, :, 0] = 0
    k[:, :, 0, 0] = sink / deviation
    return Dots(q=q, k=k, scale=deviation / 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("deviation", "sink"), [(1.0, 0.0), (4.0, 8.0)])
def test_two_in_a_million(deviation: float, sink: float, dtype: torch.dtype) -> None:
    """The figure to reach for every statistic, beside float64 on the same inputs."""
    dots = peaked(520, deviation, sink)
    dots = replace(dots, q=dots.q.to(dtype), k=dots.k.to(dtype))
    wanted = Wanted(
        apart=1, entropy=True, square=True, distance=True, received=True, lags=True, block=64
    )
    errors = worst(chunked(dots, wanted), naive(dots, wanted), whole=True)
    assert max(errors.values()) < 2e-6, errors


def test_long_prompts_are_tiled_twice_and_still_exact() -> None:
    dots = peaked(2100, 4.0, 8.0)
    wanted = Wanted(apart=1, entropy=True, square=True, distance=True, received=True, argmax=True)
    found = chunked(dots, wanted)
    z = dots.part(slice(2000, 2100), slice(0, 2100))
    expected = naive(z, replace(wanted, received=False))
    errors = worst(
        HeadStats(
            visible=found.visible[:, 2000:],
            row_sum=found.row_sum[..., 2000:],
            every=last(found.every, 2000),
            rest=last(found.rest, 2000),
            lse=found.lse[..., 2000:],
            distance=found.distance[..., 2000:],
            argmax=found.argmax[..., 2000:],
        ),
        expected,
        whole=True,
    )
    assert max(errors.values()) < 2e-6, errors
    torch.testing.assert_close(
        found.received.double().sum(-1), torch.full((1, 2), 2100.0).double(), rtol=1e-7, atol=0
    )


def last(spread: object, first: int) -> object:
    """Rows of a Spread from one on."""
    return replace(spread, **{f.name: getattr(spread, f.name)[..., first:] for f in fields(spread)})


def test_far_tokens_do_not_blur_a_bias_in_the_millions() -> None:
    """Biases are long sums; what counts is their difference, however large they are."""
    n = 40
    slope = torch.arange(n, dtype=torch.float64).expand(1, 2, n) / 3
    dots = Dots(q=torch.randn(1, 2, n, 8), k=torch.randn(1, 2, n, 8), scale=0.3)
    near = replace(dots, query_bias=-slope, key_bias=slope)
    far = replace(dots, query_bias=-slope - 1e7, key_bias=slope + 1e7)
    a, b = (chunked(x, Wanted(entropy=True)).every.log for x in (near, far))
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("inference", [False, True])
def test_threads_change_nothing(inference: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG", 60)
    monkeypatch.setattr(module, "LONG_SIZE", Size(8, 16, 2))
    dots, norms = Case(t=65, heads=6, groups=2, batch=2).build()
    wanted = everything(dots)
    one = chunked(dots, wanted, norms)
    torch.set_num_threads(3)
    try:
        with torch.inference_mode(inference):
            three = chunked(dots, wanted, norms)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert three.row_sum.is_inference() == inference
    assert max(worst(three, one).values()) < 1e-6
    torch.testing.assert_close(three.received, one.received)


def test_a_failure_on_a_thread_is_raised_and_leaves_the_number_of_threads() -> None:
    def fails(part: slice) -> None:
        raise ArithmeticError(f"part {part.start}")

    torch.set_num_threads(3)
    try:
        with pytest.raises(ArithmeticError, match="part 0"):
            spread(fails, shares(4, 1, 2), 2)
        # A thread takes the number over when it starts: this one does not know it from before.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_thread_gets_as_many_heads(threads: int) -> None:
    parts = shares(9, 3, threads)
    assert [x for part in parts for x in range(part.start, part.stop)] == list(range(9))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) <= 3
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) % threads == 0


def test_work_follows_the_window() -> None:
    """Entries visited for n tokens: n²/2 without a window, about n · window with one."""

    def visited(n: int, **options: int) -> int:
        q = torch.zeros(1, 1, n, 1)
        layout = Layout.of(Dots(q=q, k=q, scale=1.0, **options), torch.float32)
        blocks = (slice(a, min(n, a + 128)) for a in range(0, n, 128))
        every = slice(0, 1), 0, Size(128, 1024, 1)
        return sum(
            (rows.stop - rows.start) * tile.width
            for rows in blocks
            for tile in layout.tiles(rows, *every)
        )

    assert 32768**2 / 2 < visited(32768) < 32768**2 / 2 + 32768 * 130
    assert 32768 * 512 < visited(32768, window=512) < 32768 * (512 + 130)
    assert visited(32768, window=512, sinks=4) < 32768 * (512 + 4 + 130)
    assert visited(65536, window=512) == pytest.approx(2 * visited(32768, window=512), rel=0.01)


@pytest.mark.parametrize(("width", "n"), [(5, 3), (64, 1), (100, 2), (1000, 8), (257, 8)])
def test_largest_looks_into_the_right_groups(width: int, n: int) -> None:
    s = torch.randn(2, 7, width)
    s[0, 0, n:] = -torch.inf
    found, keys = largest(s, n, torch.arange(width) * 3)
    expected = s.topk(n, -1)
    assert torch.equal(found, expected.values)
    there = found > -torch.inf
    assert torch.equal(keys[there], 3 * expected.indices[there])


def test_weights_at_chosen_keys() -> None:
    dots, _ = Case(t=20, heads=4, groups=2, batch=2, window=6, sinks=2, bias="line").build()
    keys = torch.randint(-2, 22, (2, 20, 5))
    a = dots.weights().double()
    inside = (keys >= 0) & (keys < 20)
    expected = a.gather(-1, keys.clamp(0, 19)[:, None].expand(-1, 4, -1, -1))
    expected = torch.where(inside[:, None], expected, 0)
    found = at_keys(dots, dots.logits().logsumexp(-1), keys).double()
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-7)


def test_output_of_attention_is_not_disturbed() -> None:
    """Weights times values, column by column, is what the fused attention gives."""
    q, k = torch.randn(1, 2, 50, 16), torch.randn(1, 2, 50, 16)
    eye = torch.eye(50).expand(1, 2, 50, 50)
    a = F.scaled_dot_product_attention(q, k, eye, is_causal=True)
    found = chunked(Dots(q=q, k=k, scale=0.25), Wanted(received=True, argmax=True))
    torch.testing.assert_close(found.received, a.sum(-2), rtol=2e-6, atol=1e-6)
    assert torch.equal(found.argmax, a.argmax(-1))


LIMITED = """
import resource, torch
from interp.stats.softmax.chunked import chunked
from interp.stats.wanted import Wanted
from models.forms import Dots

torch.set_num_threads(1)
n = {n}
q, k = torch.randn(1, 1, n, 32), torch.randn(1, 1, n, 32)
chunked(Dots(q=q[:, :, :256], k=k[:, :, :256], scale=0.2), Wanted(received=True))
with open("/proc/self/statm") as facts:
    used = int(facts.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room} * 2**20,) * 2)
found = chunked(Dots(q=q, k=k, scale=0.2), Wanted(entropy=True, received=True, block=n // 32))
print(found.received.sum().item(), found.every.entropy[0, 0, -1].item())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux'")
@pytest.mark.parametrize(
    ("n", "room"), [(4096, 40), pytest.param(32768, 80, marks=pytest.mark.slow)]
)
def test_a_matrix_that_does_not_fit(n: int, room: int) -> None:
    """Room in MiB on top of the inputs: one head's matrix takes 64 MiB at 4k, 4 GiB at 32k."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(n=n, room=room)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    total, entropy = map(float, done.stdout.split())
    assert total == pytest.approx(n, rel=1e-6)
    assert 0 < entropy < torch.tensor(float(n)).log()
