"""Server CPU of a warm rerun, and how long 20 sessions at once wait for the head they pick."""

import argparse
import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks.client import Page, Server, server
from benchmarks.machine import machine
from models import smollm2

LAYERS, HEADS = 30, 9  # of SmolLM2
CPU_AT_MOST, P95_AT_MOST = 150, 1000  # milliseconds
THINK = 1.0  # seconds between the head that came and the next one picked
STARTERS = ("sink", "names", "opinion")
PROMPTS = (
    "The lighthouse keeper wrote down the weather every evening, and every evening it was rain.",
    "Mira counted seven boats in the harbour; when Mira counted again, there were only six.",
    "If the tide is low at noon and turns six hours later, when is the water highest again?",
)


@dataclass(frozen=True)
class Sample:
    """One head picked: from the click until its matrix is on the page."""

    wall: float  # seconds
    reruns: int
    problem: str
    size: int  # bytes sent by the last rerun
    live: bool


async def sample(page: Page, query: dict[str, str], rng: random.Random) -> Sample:
    """Pick a random head and wait for it; what goes wrong is part of the sample."""
    started = time.perf_counter()
    try:
        wall, reruns, seen = await page.pick(query, rng.randrange(LAYERS), rng.randrange(HEADS))
    except Exception as problem:
        wall = time.perf_counter() - started
        return Sample(wall, 1, f"{type(problem).__name__} {problem}", 0, "text" in query)
    return Sample(wall, reruns, "; ".join(seen.problems), seen.size, "text" in query)


def percentiles(samples: list[Sample]) -> str:
    """p50, p95 and p99 of the time until the head is there, in milliseconds."""
    if not samples:
        return "no samples"
    p50, p95, p99 = np.percentile([s.wall * 1e3 for s in samples], (50, 95, 99))
    again = sum(s.reruns > 1 for s in samples)
    return (
        f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms (n = {len(samples)}, {again} in 2+ reruns)"
    )


async def one_session(found: Server, query: dict[str, str], times: int, words: str) -> float:
    """Milliseconds of server CPU per rerun of one session that picks one head after another."""
    rng = random.Random(0)
    async with Page.open(found.address) as connection:
        page = Page(connection)
        ready = await page.settle(query)
        for _ in range(3):  # the first ones of a process are slower
            await sample(page, query, rng)
        await asyncio.sleep(1)
        before = found.cpu()
        samples = [await sample(page, query, rng) for _ in range(times)]
        await asyncio.sleep(0.5)  # garbage is collected after a run has finished
        spent = found.cpu() - before
    reruns = sum(s.reruns for s in samples)
    cpu = spent * 1e3 / reruns
    problems = [s.problem for s in samples if s.problem]
    print(
        f"{words}: all there after {ready:.1f} s; then {cpu:.0f} ms of server CPU per rerun, "
        f"{percentiles(samples)}, {samples[-1].size / 1024:.0f} KiB sent each, "
        f"{len(problems)} errors {problems[:1] or ''}"
    )
    return cpu if not problems else float("inf")


def query_of(number: int) -> dict[str, str]:
    """What a session looks at: every other one a starter, the rest a live prompt."""
    kind = number // 2 % 3
    return {"text": PROMPTS[kind]} if number % 2 else {"starter": STARTERS[kind]}


async def visit(page: Page, number: int, seconds: float) -> list[Sample]:
    """One of many sessions picks one head after another until time is up."""
    rng, samples, end = random.Random(number), [], time.perf_counter() + seconds
    await asyncio.sleep(rng.random() * THINK)
    while time.perf_counter() < end:
        samples.append(await sample(page, query_of(number), rng))
        await asyncio.sleep(THINK)
    return samples


async def many_sessions(found: Server, sessions: int, seconds: float) -> float:
    """Milliseconds below which 95 % of picks stay; infinite when any failed."""
    before, opening = found.rss(), time.perf_counter()
    async with AsyncExitStack() as stack:
        pages = [
            Page(await stack.enter_async_context(Page.open(found.address))) for _ in range(sessions)
        ]
        await asyncio.gather(*(page.settle(query_of(i)) for i, page in enumerate(pages)))
        start, cpu, own = time.perf_counter(), found.cpu(), time.process_time()
        picked = await asyncio.gather(*(visit(p, i, seconds) for i, p in enumerate(pages)))
    wall, cpu = time.perf_counter() - start, found.cpu() - cpu
    samples = [s for one in picked for s in one]
    problems = [s.problem for s in samples if s.problem]
    reruns = sum(s.reruns for s in samples)
    print(
        f"{sessions} sessions, {wall:.0f} s (opened in {start - opening:.1f} s)\n"
        f"  all       {percentiles(samples)}\n"
        f"  starters  {percentiles([s for s in samples if not s.live])}\n"
        f"  live      {percentiles([s for s in samples if s.live])}\n"
        f"  {reruns / wall:.1f} reruns/s, server {cpu / wall * 100:.0f} % of a core "
        f"({cpu / max(1, reruns) * 1e3:.0f} ms a rerun), these clients "
        f"{(time.process_time() - own) / wall * 100:.0f} %\n"
        f"  RSS {before:.0f} MiB before, {found.rss():.0f} MiB after; "
        f"{len(problems)} errors {problems[:3] or ''}"
    )
    if problems or not samples:
        return float("inf")
    return float(np.percentile([s.wall * 1e3 for s in samples], 95))


async def scenario(found: Server, args: argparse.Namespace) -> int:
    """Both parts, and the two lines they are for; 1 when either fails."""
    idle = found.cpu()
    await asyncio.sleep(2)
    print(
        f"server idle: {(found.cpu() - idle) / 2 * 100:.1f} % of a core, RSS {found.rss():.0f} MiB"
    )
    cpus = [await one_session(found, {}, args.reruns, "starter")]
    cpus.append(await one_session(found, {"text": PROMPTS[0]}, args.reruns, "live prompt"))
    for text in PROMPTS[1:]:
        async with Page.open(found.address) as connection:
            await Page(connection).settle({"text": text})
    p95 = await many_sessions(found, args.sessions, args.seconds)
    print(f"\nwarm rerun: {max(cpus):.0f} ms of server CPU (at most {CPU_AT_MOST})")
    print(f"{args.sessions} sessions: p95 {p95:.0f} ms (at most {P95_AT_MOST})")
    return int(max(cpus) > CPU_AT_MOST or p95 > P95_AT_MOST)


def main() -> int:
    """Start a server, load it, stop it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--reruns", type=int, default=30, help="warm reruns of one session")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    if not smollm2.ready():
        print("SmolLM2 is not here yet: python -m models.smollm2", file=sys.stderr)
        return 2
    print(machine())
    with server() as found:
        return asyncio.run(scenario(found, args))


if __name__ == "__main__":
    sys.exit(main())
