"""Time from Run to the full grid, beside transformers' own eager pass on the same tokens."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from app.build import mosaic_work
from benchmarks.machine import machine
from interp.catalog import load
from interp.engine.cache import nbytes
from interp.engine.cost import in_words
from interp.engine.engine import Engine
from interp.engine.job import Work
from interp.engine.works import pattern_work, reading_work, scores_work
from interp.measurements.prompt import PromptRequest
from interp.measurements.repeats import RepeatsRequest
from interp.registry import PROBES, PROMPT
from interp.subject import Card, Subject
from models import smollm2

MODEL = "smollm2"
TOKENS = 64
AT_MOST = 2.0  # times transformers' own pass
SESSION = "benchmark"


@dataclass(frozen=True)
class Times:
    """Seconds on the clock, and of all threads of this process."""

    wall: float
    cpu: float


def timed(action: Callable[[], object]) -> Times:
    """How long an action takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def fresh_prompt(subject: Subject, seed: int) -> PromptRequest:
    """64 random tokens that no earlier seed drew in this order: nothing is cached for them."""
    ids, rng = subject.ordinary_ids(), torch.Generator().manual_seed(seed)
    picked = torch.randint(len(ids), (TOKENS,), generator=rng)
    return PromptRequest(ids=tuple(ids[picked].tolist()))


def done(engine: Engine, work: Work, slot: str) -> object:
    """Submit work as a page does and wait for its result; raises RuntimeError when it fails."""
    ticket = engine.submit(work, SESSION, slot)
    if not ticket.wait(120) or ticket.state != "done":
        raise RuntimeError(f"{work.label} is {ticket.state}: {ticket.job.error or 'no end'}")
    return ticket.job.result


def run_grid(engine: Engine, card: Card, request: PromptRequest) -> None:
    """All that the page asks for until it can draw the grid coloured by sink share."""
    reading = done(engine, reading_work(card, PROMPT, request), "reading")
    done(engine, mosaic_work(card, reading), "mosaic")
    done(engine, scores_work(card, "sinks", request, with_controls=False), "scores")


def run_rest(engine: Engine, card: Card, request: PromptRequest) -> dict[str, float]:
    """After the grid, in the page's order: every probe, then their nulls; seconds since here."""
    start, when = time.perf_counter(), {}
    for with_controls in (False, True):
        for name, probe in PROBES.items():
            asked = request if probe.measurement.needs_prompt else RepeatsRequest()
            done(engine, scores_work(card, name, asked, with_controls), "scores")
            when[f"{name}{' nulls' if with_controls else ''}"] = time.perf_counter() - start
    return when


def transformers_model() -> torch.nn.Module:
    """The same folder as transformers itself loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        smollm2.folder(), attn_implementation="eager", dtype=torch.float32, local_files_only=True
    ).eval()


def run_eager(model: torch.nn.Module, request: PromptRequest) -> None:
    """One forward pass that returns every attention matrix."""
    with torch.inference_mode():
        out = model(torch.tensor([request.ids]), output_attentions=True, use_cache=False)
    if len(out.attentions) != model.config.num_hidden_layers:
        raise RuntimeError("transformers returned no attention matrices")


def line(words: str, times: list[Times]) -> str:
    """Least and median of some times, in milliseconds."""
    wall, cpu = [t.wall * 1e3 for t in times], [t.cpu * 1e3 for t in times]
    return (
        f"{words:<34}{min(wall):9.0f}{median(wall):9.0f}{min(cpu):11.0f}{median(cpu):9.0f}"
        f"{len(times):5d}"
    )


def side_by_side(
    engine: Engine, subject: Subject, eager: torch.nn.Module, repeats: int
) -> tuple[list[Times], list[Times]]:
    """(ours, transformers'), taking turns on one fresh prompt after another; one warm-up each."""
    ours, theirs = [], []
    for seed in range(repeats + 1):
        request = fresh_prompt(subject, seed)
        pair = [
            (ours, lambda r=request: run_grid(engine, subject.card, r)),
            (theirs, lambda r=request: run_eager(eager, r)),
        ]
        for times, action in pair if seed % 2 else reversed(pair):
            times.append(timed(action))
    return ours[1:], theirs[1:]


def head_matrices(engine: Engine, card: Card, request: PromptRequest) -> list[Times]:
    """One head of every layer, rebuilt from the kept input of its block."""
    works = [pattern_work(card, request, layer, 0) for layer in range(card.n_layers)]
    return [timed(lambda w=work: done(engine, w, "pattern")) for work in works]


def nulls_report(engine: Engine, subject: Subject, seed: int, words: str) -> str:
    """When the nulls of a fresh prompt are there, counted from Run."""
    request = fresh_prompt(subject, seed)
    grid = timed(lambda: run_grid(engine, subject.card, request)).wall
    when = run_rest(engine, subject.card, request)
    last = list(PROBES)[-1]
    return (
        f"{words}: grid {grid:.2f} s, all probes {grid + when[last]:.2f} s, "
        f"sink nulls {grid + when['sinks nulls']:.2f} s, all nulls "
        f"{grid + when[f'{last} nulls']:.2f} s"
    )


def main() -> int:
    """Print the comparison; 1 when the grid takes more than twice transformers' pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid", description=__doc__)
    parser.add_argument("--repeats", type=int, default=11, help="pairs after the warm-up")
    repeats = max(1, parser.parse_args().repeats)
    if not smollm2.ready():
        print("SmolLM2 is not here yet: python -m models.smollm2", file=sys.stderr)
        return 2
    print(machine())
    engine, eager = Engine(load), transformers_model()
    subject = engine.shelf.get(MODEL)
    ours, theirs = side_by_side(engine, subject, eager, repeats)

    print(f"\n{TOKENS} tokens, ms{'':<21}wall min   median    cpu min   median    n")
    print(line("Run to full grid, all statistics", ours))
    print(line("transformers eager, attentions", theirs))
    ratios = [a.wall / b.wall for a, b in zip(ours, theirs, strict=True)]
    cpu = [a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True)]
    holds = median(ratios) <= AT_MOST
    print(
        f"ratio of each pair: wall median {median(ratios):.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}), cpu median {median(cpu):.2f}\n"
        f"at most {AT_MOST:g}x: {'holds' if holds else 'DOES NOT HOLD'}"
    )

    last = fresh_prompt(subject, repeats)
    kept = engine.compute(reading_work(subject.card, PROMPT, last), None)
    size = subject.card.n_layers * subject.card.n_heads * TOKENS**2 * 4
    print(
        f"\nkept of a run: {in_words(nbytes(kept))}, of it {in_words(kept.kept.nbytes)} block "
        f"inputs; all matrices would be {in_words(size)}"
    )
    print(line("one head's matrix after the grid", head_matrices(engine, subject.card, last)))
    print(nulls_report(engine, subject, 1001, "first prompt of a process, from Run"))
    print(nulls_report(engine, subject, 1002, "second prompt, from Run"))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
