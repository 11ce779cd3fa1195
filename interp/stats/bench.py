"""Statistics on a ring of ranks beside one rank alone: `torchrun ... -m interp.stats.bench`.

    torchrun --standalone --nproc-per-node 2 -m interp.stats.bench --tokens 4096 --heads 4

Every rank draws the same q and k and keeps its shard. Prints a table on rank 0: CPU and wall
seconds (the least of `--repeats`, the two taking turns), bytes that a rank sends, how even the work
is, and how far the ring's numbers are from those of the rank alone. Exit code 1 if too far, 2 for
what cannot be run.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve others

import torch
import torch.distributed as dist

from interp.stats.backends import BACKENDS, choose, stats
from interp.stats.head_stats import HeadStats
from interp.stats.ranks.ring import Ring, balance, shard
from interp.stats.ranks.ring_stats import ring_stats, whole_of
from interp.stats.wanted import Wanted
from models.forms import Dots
from models.ways import LAYOUTS

WANTED = Wanted(
    apart=1, entropy=True, square=True, distance=True, columns=(0,), offsets=(1,), received=True
)
BOUND = 2e-6  # relative to the largest number of a statistic
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Timing:
    """The least seconds of one process."""

    cpu: float
    wall: float


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line; ValueError for what cannot be."""
    parser = argparse.ArgumentParser(
        prog="torchrun ... -m interp.stats.bench", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--heads", type=int, default=4, help="query heads")
    parser.add_argument("--kv-heads", type=int, help="key heads; as many as query heads if missing")
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--dtype", choices=list(TYPES), default="float32")
    parser.add_argument("--layout", choices=list(LAYOUTS), default="zigzag")
    parser.add_argument("--backend", choices=list(BACKENDS), help="of the rank alone")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    asked = parser.parse_args(argv)
    asked.kv_heads = asked.heads if asked.kv_heads is None else asked.kv_heads
    for name in ("tokens", "heads", "kv_heads", "width", "repeats", "threads"):
        if getattr(asked, name) < 1:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} counts from 1, got {getattr(asked, name)}")
    return asked


def drawn(asked: argparse.Namespace) -> Dots:
    """The same q and k on every rank."""
    rng = torch.Generator().manual_seed(0)
    q, k = (
        torch.randn(1, heads, asked.tokens, asked.width, generator=rng).to(TYPES[asked.dtype])
        for heads in (asked.heads, asked.kv_heads)
    )
    return Dots(q=q, k=k, scale=asked.width**-0.5)


def timed(run: Callable[[], HeadStats], ring: Ring, at_work: bool = True) -> tuple:
    """What it gives, and its seconds, from the moment that all ranks are there."""
    if ring.world > 1:
        dist.barrier()
    cpu, wall = time.process_time(), time.perf_counter()
    found = run() if at_work else None
    return found, Timing(time.process_time() - cpu, time.perf_counter() - wall)


def least(timings: list[Timing]) -> Timing:
    """The least of each."""
    return Timing(min(t.cpu for t in timings), min(t.wall for t in timings))


def apart(ours: HeadStats, other: HeadStats) -> dict[str, float]:
    """Largest difference of each statistic, over the other's largest number."""
    flat = [
        {f.name: getattr(s, f.name) for f in fields(HeadStats) if f.name not in ("every", "rest")}
        | {f"every.{f.name}": getattr(s.every, f.name) for f in fields(s.every)}
        | {f"rest.{f.name}": getattr(s.rest, f.name) for f in fields(s.rest)}
        for s in (ours, other)
    ]
    return {
        name: float((x.double() - flat[1][name]).abs().max() / flat[1][name].abs().max())
        for name, x in flat[0].items()
        if x is not None
    }


def table(
    asked: argparse.Namespace, ring: list[tuple[Timing, int]], alone: Timing, off: dict[str, float]
) -> str:
    """What rank 0 prints."""
    world = len(ring)
    even = {name: balance(asked.tokens, world, name) for name in LAYOUTS}
    slowest = max(t.wall for t, _ in ring)
    worst = max(off, key=off.get)
    return "\n".join(
        [
            f"{asked.tokens} tokens, {asked.heads} heads on {asked.kv_heads} key heads of "
            f"{asked.width}, {asked.dtype}, {asked.layout}, {world} ranks of {asked.threads} "
            f"thread{'s' * (asked.threads > 1)}; load {os.getloadavg()[0]:.1f}",
            f"{'':>10} {'CPU s':>9} {'wall s':>9} {'sent MB':>9}",
            *(
                f"{f'rank {r}':>10} {t.cpu:9.3f} {t.wall:9.3f} {sent / 1e6:9.2f}"
                for r, (t, sent) in enumerate(ring)
            ),
            f"{'alone':>10} {alone.cpu:9.3f} {alone.wall:9.3f} {0:9.2f}",
            f"wall, alone / ring: {alone.wall / slowest:.2f}; CPU of all ranks / alone: "
            f"{sum(t.cpu for t, _ in ring) / alone.cpu:.2f}",
            "balance from positions: " + ", ".join(f"{n} {x:.3f}" for n, x in even.items()),
            f"largest relative difference: {off[worst]:.1e}, in {worst}",
        ]
    )


def compared(asked: argparse.Namespace, ring: Ring) -> int:
    """Time both in turns; rank 0 prints. 1 if their numbers differ by more than BOUND."""
    dots = drawn(asked)
    at = shard(asked.tokens, ring.world, ring.rank, asked.layout)
    mine = replace(dots, q=dots.q[:, :, at], k=dots.k[:, :, at], query_at=at, key_at=at)
    name, first = asked.backend or choose(dots), ring.rank == 0
    ours, alone = [], []
    for _ in range(asked.repeats):
        before = ring.sent
        found, seconds = timed(lambda: ring_stats(mine, WANTED, ring=ring), ring)
        sent = ring.sent - before
        other, by_itself = timed(lambda: stats(dots, WANTED, None, name), ring, first)
        ours.append(seconds)
        alone.append(by_itself)
    every, found = ring.gather((least(ours), sent)), whole_of(found, mine, ring)
    off = apart(found, other) if first else {}
    if first:
        sys.stdout.write(f"alone: the {name} backend, on rank 0 while the others wait\n")
        sys.stdout.write(table(asked, every, least(alone), off) + "\n")
    return ring.gather(int(max(off.values(), default=0) > BOUND))[0]


def main(argv: list[str]) -> int:
    """Run under torchrun, or as one rank; problems are one sentence on stderr and exit code 2."""
    spread = "WORLD_SIZE" in os.environ
    first = os.environ.get("RANK", "0") == "0"
    try:
        asked = arguments(argv)
        torch.set_num_threads(asked.threads)
        if spread:
            dist.init_process_group("gloo")
        else:
            sys.stdout.write("no torchrun: a ring of one rank\n")
        return compared(asked, Ring())
    except ValueError as problem:
        if first:
            sys.stderr.write(f"headlamp: {problem}\n")
        return 2
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
