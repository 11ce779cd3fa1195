"""Statistics of every head beside fused attention and beside the dense matrix, on the processor."""

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F

from benchmarks.machine import machine
from interp.stats.head_stats import HeadStats
from interp.stats.naive import naive
from interp.stats.softmax.chunked import chunked
from interp.stats.wanted import Wanted
from models.forms import Dots

HEADS, GROUPS, WIDTH = 9, 3, 64  # one layer of SmolLM2-135M
BLOCKS = 32  # of the heat map, each way
GATE = 2.2  # times fused attention: never above
ACCURATE = 2e-6
MEGABYTES = 64  # at 8k tokens, over the inputs


@dataclass(frozen=True)
class Verdict:
    """One figure to reach; a gate that is missed fails the run."""

    words: str
    value: float
    holds: bool
    gate: bool = True

    def __str__(self) -> str:
        return f"{'holds ' if self.holds else 'misses'}  {self.words}: {self.value:.3g}"


def everything(n: int) -> Wanted:
    """What the page asks of a prompt of n tokens."""
    return Wanted(
        apart=1,
        entropy=True,
        square=True,
        distance=True,
        columns=(0,),
        offsets=(1,),
        received=True,
        block=max(1, -(-n // BLOCKS)),
    )


def inputs(n: int, heads: int = HEADS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random q, k and v of one layer."""
    rng = torch.Generator().manual_seed(n)
    groups = max(1, heads * GROUPS // HEADS)
    shapes = (heads, groups, groups)
    return tuple(torch.randn(1, x, n, WIDTH, generator=rng) for x in shapes)


def dense(dots: Dots, wanted: Wanted) -> tuple[object, ...]:
    """The same statistics from the whole matrix in float32, as one would write them in torch."""
    z = dots.logits()
    lse = z.logsumexp(-1)
    a = (z - lse[..., None]).exp()
    rest = a[..., 1:]
    n = a.shape[-1]
    side = wanted.block
    padded = F.pad(a, (0, -n % side, 0, -n % side))
    tiles = padded.unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
    return (
        lse,
        *((torch.special.xlogy(x, x).sum(-1), x.square().sum(-1), x.amax(-1)) for x in (a, rest)),
        a @ torch.arange(n, dtype=a.dtype),
        a[..., 0],
        a.diagonal(-1, -2, -1),
        a.sum(-2),
        (tiles.sum((-1, -3)), tiles.amax((-1, -3))),
    )


def interleaved(
    actions: dict[str, Callable[[], object]], repeats: int
) -> dict[str, tuple[float, float]]:
    """Least CPU and wall seconds of each, taking turns; one warm-up each."""
    best = {name: (float("inf"), float("inf")) for name in actions}
    for turn in range(repeats + 1):
        for name, action in actions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            action()
            took = (time.process_time() - cpu, time.perf_counter() - wall)
            if turn:
                best[name] = tuple(map(min, best[name], took))
    return best


def beside_attention(sizes: list[int], repeats: int) -> list[Verdict]:
    """Statistics over fused attention on the same q and k, one thread."""
    print(f"\n{'tokens':>7}{'attention':>11}{'statistics':>12}{'dense':>9}  CPU ms (wall)   load")
    verdicts = []
    for n in sizes:
        q, k, v = inputs(n)
        dots, wanted = Dots(q=q, k=k, scale=WIDTH**-0.5), everything(n)
        actions = {
            "attention": lambda q=q, k=k, v=v: F.scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=True
            ),
            "statistics": lambda d=dots, w=wanted: chunked(d, w),
        }
        best = interleaved(actions, repeats)
        if n <= 8192:
            action = {"dense": lambda d=dots, w=wanted: dense_layer(d, w)}
            best |= interleaved(action, repeats if n < 4096 else 1)
        line = "".join(f"{cpu * 1e3:9.0f} ({wall * 1e3:.0f})" for cpu, wall in best.values())
        ratio = best["statistics"][0] / best["attention"][0]
        print(f"{n:7d}{line}   {os.getloadavg()[0]:.1f}   x{ratio:.2f}", flush=True)
        most = 1.6 if n >= 2048 else 1.7
        name = f"statistics / attention at {n}"
        verdicts.append(Verdict(f"{name}, at most {most}", ratio, ratio <= most, gate=False))
        if n >= 2048:
            verdicts.append(Verdict(f"{name}, never above {GATE}", ratio, ratio <= GATE))
        least = {1024: 4, 4096: 8, 8192: 10}.get(n)
        if least:
            won = best["dense"][0] / best["statistics"][0]
            words = f"dense / statistics at {n}, at least {least}"
            verdicts.append(Verdict(words, won, won >= least, gate=False))
    return verdicts


def dense_layer(dots: Dots, wanted: Wanted) -> None:
    """Dense statistics, three heads at a time: all nine take 10 GB at 8k tokens."""
    q, k = dots.q.chunk(GROUPS, 1), dots.k.chunk(GROUPS, 1)
    for part in zip(q, k, strict=True):
        dense(Dots(q=part[0], k=part[1], scale=dots.scale), wanted)


def peak(n: int) -> float:
    """MiB that statistics of n tokens take at most over their inputs, in a process of its own."""
    code = f"from benchmarks.stats import grown; print(grown({n}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def grown(n: int) -> float:
    """Growth of this process's resident memory while it computes, MiB, sampled every 2 ms."""
    torch.set_num_threads(1)
    q, k, _ = inputs(n)
    chunked(Dots(q=q[:, :, :64], k=k[:, :, :64], scale=0.125), everything(64))
    before, most, stop = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    chunked(Dots(q=q, k=k, scale=0.125), everything(n))
    stop.set()
    watcher.join()
    return max(most[0], resident()) - before


def resident() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def memory() -> list[Verdict]:
    """Peak memory at 8k and 16k tokens."""
    low, high = peak(8192), peak(16384)
    print(f"\npeak memory over the inputs: {low:.0f} MiB at 8192 tokens, {high:.0f} MiB at 16384")
    words = "memory at 16384 over that at 8192, at most 2.3"
    return [
        Verdict(f"MiB at 8192 tokens, at most {MEGABYTES}", low, low <= MEGABYTES),
        Verdict(words, high / low, high / low <= 2.3),
    ]


def accuracy(n: int = 1024) -> list[Verdict]:
    """Error of every statistic, logits even and peaked.

    The norm of the error over that of the truth, and the largest relative error of a single number
    among those of at least a millionth of the statistic's largest.
    """
    logits = (("even", 1.0, 0.0), ("peaked", 4.0, 8.0))  # deviation; how far key 0 lies above
    cases = [(*case, kind) for case in logits for kind in (torch.float32, torch.bfloat16)]
    names = [f"{words}, {str(kind).removeprefix('torch.')}" for words, _, _, kind in cases]
    tables = [errors(n, *case[1:]) for case in cases]
    print("\nerror against float64 on the same inputs: in norm / of the worst number")
    print(f"{'':16}" + "".join(f"{name:>20}" for name in names))
    for statistic in tables[0]:
        line = (table[statistic] for table in tables)
        print(f"{statistic:16}" + "".join(f"{f'{x:.1e} / {y:.1e}':>20}" for x, y in line))
    worst = [max(x for x, _ in table.values()) for table in tables]
    return [
        Verdict(f"error in norm, {name}, at most {ACCURATE:g}", x, x <= ACCURATE)
        for name, x in zip(names, worst, strict=True)
    ]


def errors(
    n: int, deviation: float, sink: float, kind: torch.dtype
) -> dict[str, tuple[float, float]]:
    """Error in norm and of the worst number, by statistic; of entropy also in nats."""
    q, k, _ = inputs(n)
    q[..., 0], k[..., 0] = 8.0, 0.0
    k[:, :, 0] = 0.0
    k[:, :, 0, 0] = sink / deviation
    dots = Dots(q=q.to(kind), k=k.to(kind), scale=deviation / 8)
    found, truth = numbers(chunked(dots, everything(n))), numbers(naive(dots, everything(n)))
    parts = {}
    for name, y in truth.items():
        away = (found[name] - y).abs()
        large = y.abs() >= 1e-6 * y.abs().max()
        parts[name] = ((away.norm() / y.norm()).item(), (away / y.abs())[large].max().item())
    nats = max((found[x] - truth[x]).abs().max().item() for x in ("every.entropy", "rest.entropy"))
    print(f"entropy, deviation {deviation:g}, {kind}: off by {nats:.1e} nats at most")
    return parts


def numbers(stats: HeadStats) -> dict[str, torch.Tensor]:
    """All statistics there are, by name; entropy in place of what it is made from."""
    found = {}
    for field in fields(stats):
        x = getattr(stats, field.name)
        if field.name in ("every", "rest"):
            found |= {f"{field.name}.{k}": getattr(x, k) for k in ("mass", "peak", "square")}
            seen = x.mass > 0
            found[f"{field.name}.entropy"] = torch.where(seen, x.entropy, 0)
        elif x is not None and x.is_floating_point():
            found[field.name] = x
    return {name: x.double() for name, x in found.items()}


LONGEST = """
import resource, time, torch
from benchmarks.stats import everything, inputs
from interp.stats.softmax.chunked import chunked
from models.forms import Dots

n = 32768
q, k, _ = inputs(n)
with open("/proc/self/statm") as facts:
    used = int(facts.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 768 * 2**20,) * 2)
wall, cpu = time.perf_counter(), time.process_time()
found = chunked(Dots(q=q, k=k, scale=0.125), everything(n))
assert abs(found.received.sum() / (9 * n) - 1) < 1e-6
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def longest() -> list[Verdict]:
    """32k tokens on all cores in 768 MiB of address space over the inputs; matrices take 36 GiB."""
    done = subprocess.run([sys.executable, "-c", LONGEST], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return [Verdict("32768 tokens finish under a memory limit", 0, False)]
    wall, cpu = map(float, done.stdout.split())
    print(f"\n32768 tokens, {HEADS} heads, 768 MiB at most: {wall:.1f} s, CPU {cpu:.1f} s")
    return [Verdict("32768 tokens finish under a memory limit, s", wall, True)]


def main() -> int:
    """Print tables and verdicts; 1 when a gate is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stats", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="turns after the warm-up")
    parser.add_argument("--most", type=int, default=16384, help="longest prompt of the first table")
    args = parser.parse_args()
    print(machine())
    torch.set_num_threads(1)
    sizes = [n for n in (512, 1024, 2048, 4096, 8192, 16384) if n <= args.most]
    verdicts = beside_attention(sizes, max(1, args.repeats))
    verdicts += memory() + accuracy() + longest()
    print("\n" + "\n".join(map(str, verdicts)))
    return int(any(v.gate and not v.holds for v in verdicts))


if __name__ == "__main__":
    with torch.inference_mode():
        sys.exit(main())
