"""Probes on SmolLM2 beside the values another implementation measured on the same model."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.without_heads import COPY, RANDOM_OUT, TEXT, losses, plural
from interp.catalog import load
from interp.measurements import repeats
from interp.measurements.interventions import outcomes
from interp.measurements.prompt import Rows, read_rows
from interp.measurements.repeats import RepeatsControls, RepeatsReading, RepeatsRequest
from interp.measurements.sink_token import shares
from interp.nulls import generator, mean_interval, repeated
from interp.probes.concentration import METRICS, all_keys, late, without_first
from interp.probes.induction import copy_losses
from interp.probes.sinks import EPSILON, share
from interp.probes.stripes import samples
from interp.progress import Silent
from interp.studies.sinks.arms import DROP, MASK, ZERO, arm
from interp.subject import Subject
from models import smollm2

QUESTIONS = Path("../shared/data/gsm8k_val/gsm8k_validation.jsonl")
BOS = 1  # <|im_start|>; SmolLM2's tokenizer adds none by itself
LENGTH = 64  # tokens of every prompt that is not repeated tokens
RANDOM, NATURAL, SAME = 40, 100, 40  # sequences
SLACK = 1.5  # the other side's sampling error is about ours: sqrt(2), and a little
OF_HEADS = 2**0.5  # more for few sequences: 10 of them say little about their own spread

INDUCTION = (
    ".919 L18H6, .826 L17H3, .785 L17H4, .702 L17H5, .643 L18H7, .543 L23H2, .503 L23H7, .483 L20H6"
)
# Measured there with BOS in front: without it L16H0 is .906 here, four standard errors away.
PREVIOUS = ".893 L16H0, .836 L11H1, .726 L2H1, .699 L19H3, .691 L1H2"
PREVIOUS_FRESH = ".885 L16H0, .844 L11H1, .726 L2H1"
# Loss under the edit minus loss as it is, queries 8 on: way, tokens, from which layer, value there.
WITHOUT_SINK = (
    (MASK, (0,), 0, ".061"),
    (MASK, (1,), 0, ".078"),
    (MASK, (5,), 0, ".065"),
    (MASK, (0, 1, 2, 3), 0, ".168"),
    (MASK, (0,), 12, ".943"),
    (DROP, (0,), 0, ".579"),
    (DROP, (0,), 12, ".652"),
    (DROP, (5,), 0, ".079"),
    (ZERO, (0,), 0, ".462"),
    (ZERO, (1,), 0, ".091"),
)
EDITED, SCORED_FROM = 24, 8  # sequences; the first query whose prediction is scored
DUPLICATE = ".751 L8H0, .731 L14H3, .436 L15H6, .408 L5H6"


@dataclass(frozen=True)
class Row:
    """One quantity: what was measured there, as printed, and our samples of it."""

    words: str
    there: str
    samples: np.ndarray  # one number a sequence
    few: bool = False  # from as few sequences there as here
    bound: bool = False  # `there` is a bound from above

    def measured(self) -> tuple[float, float, float]:
        """Mean over sequences and its 95 % bootstrap interval."""
        value, low, high, _ = mean_interval(self.samples[None, None], 1, seed=0)
        return value.item(), low.item(), high.item()

    def agrees(self) -> bool:
        """Within the sampling error of both sides and the rounding of what was printed."""
        value, low, high = self.measured()
        if self.bound:
            return value <= float(self.there)
        rounding = 0.5 * 10.0 ** -len(self.there.partition(".")[2])
        error = (high - low) / 2 * SLACK * (OF_HEADS if self.few else 1)
        return abs(value - float(self.there)) <= error + rounding


def named_heads(words: str, values: str, scores: np.ndarray) -> Iterator[Row]:
    """A row for each "value head" of a list; scores are [L, H, sequences]."""
    for item in values.split(", "):
        there, head = item.split(" ")
        layer, number = (int(x) for x in head[1:].split("H"))
        yield Row(f"{words} {head}", there, scores[layer, number], few=True)


def previous_rows(subject: Subject, request: RepeatsRequest) -> Iterator[Row]:
    """The same tokens with BOS in front, and with a fresh second copy: place, not content."""
    bos = torch.full((request.sequences, 1), BOS)
    inputs = zip(
        ("previous token, BOS,", "previous token, BOS, fresh copy,"),
        (PREVIOUS, PREVIOUS_FRESH),
        repeats.sequences(subject, request),
        strict=True,
    )
    for words, values, tokens in inputs:
        tokens = torch.cat([bos, tokens], 1)
        stripes, _ = repeats.measure(subject, tokens, request.length, Silent(), "")
        yield from named_heads(words, values, samples(stripes.raw, "previous"))


def repeats_rows(subject: Subject) -> Iterator[Row]:
    """50 random tokens twice, 10 sequences, no BOS."""
    request = RepeatsRequest()
    reading: RepeatsReading = repeats.read(subject, request, Silent())
    control: RepeatsControls = repeats.controls(subject, request, Silent())
    raw, fresh = reading.stripes.raw, control.fresh.raw
    yield from named_heads("induction (TL)", INDUCTION, samples(raw, "induction_lens"))
    yield from previous_rows(subject, request)
    yield from named_heads("duplicate token", DUPLICATE, samples(raw, "duplicate"))
    for words, there, stripe in (
        ("induction (TL), fresh copy, largest of 270 heads", ".03", "induction_lens"),
        ("duplicate token, fresh copy, largest of 270 heads", ".03", "duplicate"),
    ):
        scores = samples(fresh, stripe)
        strongest = np.unravel_index(scores.mean(-1).argmax(), scores.shape[:2])
        yield Row(words, there, scores[strongest], bound=True)
    first, second = copy_losses(reading.losses, request.length)
    yield Row("loss on copy 1, nats", "13.61", first.astype(np.float64), few=True)
    yield Row("loss on copy 2, nats", "1.92", second.astype(np.float64), few=True)
    fresh_second = copy_losses(control.fresh_losses, request.length)[1]
    yield Row("loss on a fresh second copy", "12.48", fresh_second.astype(np.float64), few=True)


def copy_rows(subject: Subject) -> Iterator[Row]:
    """Loss on the second copy, its first token left out, as the strongest induction heads go."""
    request = RepeatsRequest()
    tokens, _ = repeats.sequences(subject, request)
    tokens = torch.cat([torch.full((len(tokens), 1), BOS), tokens], 1)
    found = losses(subject, tokens, request.length + 1, random=True)
    for there, (words, samples_) in zip((*COPY, RANDOM_OUT), found, strict=True):
        yield Row(f"loss on copy 2, BOS, {words}", there, samples_, few=True)


def text_rows(subject: Subject, tokens: Tensor) -> Iterator[Row]:
    """The same heads out of natural text: the change, as the text there is another."""
    found = [samples_ for _, samples_ in losses(subject, tokens, 0, random=False)]
    for k, there, samples_ in zip((1, 2, 4, 8), TEXT[1:], found[1:], strict=True):
        change = f"{float(there) - float(TEXT[0]):.3f}"
        words = f"questions: change in loss, {plural(k)}"
        yield Row(words, change, samples_ - found[0], few=True)


def sink_rows(words: str, rows: Rows, rate: str, alpha_there: str) -> Iterator[Row]:
    """Sink_1 in percent of heads, and alpha_1, of each sequence."""
    alpha = share(rows, 0, signed=False).mean(-1)
    yield Row(f"{words}: Sink_1, %", rate, (alpha > EPSILON).mean((1, 2)) * 100)
    yield Row(f"{words}: mean alpha_1", alpha_there, alpha.mean((1, 2)))


def without_sink_rows(subject: Subject, tokens: Tensor) -> Iterator[Row]:
    """What taking tokens away changes, and who is rested on then, of each sequence."""
    n, arms = len(tokens), {}
    for way, keys, layer, _ in WITHOUT_SINK:
        words = f"token {keys[0]}" if len(keys) == 1 else f"tokens {keys[0]} to {keys[-1]}"
        where = f"from layer {layer} on" if layer else "in all layers"
        layers = range(layer, subject.card.n_layers)
        arms[f"{words} {way.done} {where}"] = arm(way, layers, [list(keys)] * n, LENGTH)
    found = outcomes(subject, tokens, arms, Silent(), "")
    clean = found["as it is"].loss
    for name, (*_, there) in zip(arms, WITHOUT_SINK, strict=True):
        change = (found[name].loss - clean)[:, SCORED_FROM:].mean(1).numpy()
        yield Row(f"{name}: change in loss", there, change, few=True)
    name, edits = next(iter(arms.items()))
    rate = (shares(subject, tokens, 2, Silent(), "", edits) > EPSILON).mean((1, 2)) * 100
    for key, there in enumerate(("0.0", "69.0")):
        yield Row(f"{name}: Sink_{key + 1}, %", there, rate[:, key], few=True)


def concentration_rows(words: str, rows: Rows) -> Iterator[Row]:
    """Mean over heads and rows from 8 on, of each sequence."""
    metrics = {metric.key: metric for metric in METRICS}
    for key, view, there in (
        ("entropy", all_keys, "1.66"),
        ("entropy_share", all_keys, ".478"),
        ("n_eff", all_keys, "4.78"),
        ("max", all_keys, ".515"),
        ("entropy_share", without_first, ".595"),
        ("max", without_first, ".399"),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            values = late(metrics[key].compute(view(rows)), rows)
        title = metrics[key].title + (", without token 0" if view is without_first else "")
        yield Row(f"{words}: {title}", there, np.nanmean(values, axis=(1, 2, 3)))


def random_tokens(subject: Subject, n: int) -> Tensor:
    """n sequences of ordinary tokens, none twice in one of them."""
    ids, rng = subject.ordinary_ids(), generator(1)
    return torch.stack([ids[torch.randperm(len(ids), generator=rng)[:LENGTH]] for _ in range(n)])


def questions(subject: Subject, path: Path) -> Tensor:
    """The first 64 tokens of the first questions that have so many, no BOS."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        ids = subject.encode(json.loads(line)["question"]).ids
        if len(ids) >= LENGTH:
            found.append(ids[:LENGTH])
        if len(found) == NATURAL:
            break
    if len(found) < 2:
        raise ValueError(f"{path} has no two questions of {LENGTH} tokens")
    return torch.tensor(found)


def all_rows(subject: Subject, path: Path, say: Callable[[str], None]) -> Iterator[Row]:
    """Every quantity, in the order of the table."""
    yield from repeats_rows(subject)
    yield from copy_rows(subject)
    every = torch.arange(LENGTH)
    tokens = random_tokens(subject, RANDOM)
    rows = read_rows(subject, tokens, every, Silent(), "")
    yield from sink_rows("random tokens", rows, "79.38", ".532")
    same = torch.cat([repeated(int(row[0]), LENGTH) for row in tokens[:SAME]])
    rows = read_rows(subject, same, every, Silent(), "")
    yield from sink_rows(f"one token x {LENGTH}", rows, "0.00", ".0724")
    rows = read_rows(subject.twin(0), tokens, every, Silent(), "")
    yield from sink_rows("random weights", rows, "0.00", ".0745")
    if not path.is_file():
        say(f"natural text skipped: there is no {path}; name one with --questions")
        return
    rows = read_rows(subject, questions(subject, path), every, Silent(), "")
    yield from sink_rows("questions", rows, "68.07", ".429")
    yield from concentration_rows("questions", rows)
    yield from without_sink_rows(subject, questions(subject, path)[:EDITED])
    yield from text_rows(subject, questions(subject, path)[:EDITED])


def table(rows: list[Row]) -> Table:
    """Both values side by side."""
    found = Table(show_edge=False, pad_edge=False)
    for name in ("quantity", "there", "here", "95 % interval here", "n", "within?"):
        found.add_column(name, justify="left" if name in {"quantity", "within?"} else "right")
    for row in rows:
        value, low, high = row.measured()
        there = f"at most {row.there}" if row.bound else row.there
        digits = len(row.there.partition(".")[2]) + 1
        found.add_row(
            row.words,
            there,
            f"{value:.{digits}f}",
            f"{low:.{digits}f} to {high:.{digits}f}",
            str(len(row.samples)),
            "yes" if row.agrees() else "NO",
        )
    return found


def main() -> int:
    """Print the table; 1 when any value disagrees."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    parser.add_argument(
        "--questions", type=Path, default=QUESTIONS, help='JSON lines, each with a "question"'
    )
    path = parser.parse_args().questions
    if not smollm2.ready():
        print("SmolLM2 is not here yet: python -m models.smollm2", file=sys.stderr)
        return 2
    print(machine())
    rows = list(all_rows(load("smollm2"), path, print))
    Console(width=120).print(table(rows))
    wrong = [row.words for row in rows if not row.agrees()]
    print(
        f"{len(rows) - len(wrong)} of {len(rows)} values agree with docs/verify.md"
        + (f"; not: {', '.join(wrong)}" if wrong else "")
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
