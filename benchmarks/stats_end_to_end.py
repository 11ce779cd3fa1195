"""Forward pass and statistics of every head, beside the passes that only give the matrices.

`python -m benchmarks.stats_end_to_end` runs random models of SmolLM2's shape (576 wide, 9 heads of
64 on 3 key/value heads) on one thread. The lengths from 512 to 4,096 tokens use one layer and a
small vocabulary, since TransformerLens and transformers keep every layer's matrix and 30 layers
would not fit; the share of the statistics in a forward pass uses the whole shape.
"""

import argparse
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import psutil
import torch

from benchmarks.machine import machine
from interp.adapters.bridged import Bridged
from interp.stats.sources import Source
from interp.stats.wanted import Wanted
from interp.subject import pattern_name
from models import pretrained

LENGTHS = {512: 5, 1024: 5, 2048: 5, 4096: 3}  # tokens: times each is run, at least
GAIN, AT = 1.7, 4096  # run_with_cache of patterns alone takes at least so much longer, there
OVERHEAD, SHORT = 0.40, 512  # of a forward pass of all layers, there
LAYERS = 30
VOCABULARY = 49152
FEW_WORDS = 4096  # of the model of one layer, whose head would else be most of the work
WANTED = Wanted(
    entropy=True, square=True, distance=True, columns=(0,), offsets=(1,), received=True, block=128
)


@dataclass
class Runs:
    """Seconds of each run, and the most memory above what was held before, in bytes."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0

    def add(self, action: Callable[[], object]) -> None:
        """Run once more."""
        gc.collect()
        with Peak() as peak:
            wall, cpu = time.perf_counter(), time.process_time()
            action()
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)
        self.peak = max(self.peak, peak.bytes)

    @property
    def best(self) -> float:
        """Least seconds of processor time."""
        return min(self.cpu)


class Peak:
    """Samples this process's resident memory every few milliseconds, for the time of a block."""

    def __enter__(self) -> "Peak":
        self.process, self.over = psutil.Process(), threading.Event()
        self.start = self.highest = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self) -> None:
        while not self.over.wait(0.005):
            self.highest = max(self.highest, self.process.memory_info().rss)

    def __exit__(self, *problem: object) -> None:
        self.over.set()
        self.thread.join()
        self.bytes = max(self.highest, self.process.memory_info().rss) - self.start


def subject_of(layers: int, vocabulary: int) -> Bridged:
    """A random model of SmolLM2's widths."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=576, intermediate_size=1536, num_hidden_layers=layers,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        tie_word_embeddings=True, rope_theta=1e5,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    loaded = pretrained.bridge("shape of SmolLM2", model, tokenizer(vocabulary))
    return Bridged("shape", "Shape of SmolLM2", loaded, trained=False)


def tokenizer(vocabulary: int) -> object:
    """The bridge asks for one; nothing here reads text."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="w1")


def draw(n: int, seed: int) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(FEW_WORDS, (1, n), generator=torch.Generator().manual_seed(seed))


def with_statistics(subject: Bridged, tokens: torch.Tensor) -> None:
    """Ours: the pass, its losses and every head's statistics."""

    def see(layer: int, source: Source) -> None:
        source.stats(WANTED)

    subject.stream(tokens, see)


def forward_only(subject: Bridged, tokens: torch.Tensor) -> None:
    """The same pass, with nobody looking."""
    subject.stream(tokens, lambda layer, source: None)


def cached(subject: Bridged, tokens: torch.Tensor) -> None:
    """TransformerLens, the patterns and nothing else; no statistics are made of them."""
    names = [pattern_name(layer) for layer in range(subject.card.n_layers)]
    with torch.inference_mode():
        _, cache = subject.bridge.run_with_cache(tokens, names_filter=names, use_cache=False)
    if cache[names[0]].shape[-1] != tokens.shape[1]:
        raise RuntimeError("TransformerLens cached no patterns")


def eager_model(subject: Bridged) -> torch.nn.Module:
    """transformers' own model on the same weights."""
    model = pretrained.on_same_weights(subject.loaded.plain)
    model.set_attn_implementation("eager")
    return model


def eager(model: torch.nn.Module, tokens: torch.Tensor) -> None:
    """transformers' own pass that returns every matrix; no statistics are made of them."""
    with torch.inference_mode():
        out = model(tokens, output_attentions=True, use_cache=False)
    if out.attentions[0].shape[-1] != tokens.shape[1]:
        raise RuntimeError("transformers returned no attention matrices")


def take_turns(
    ways: dict[str, Callable[[torch.Tensor], None]], n: int, repeats: int
) -> dict[str, Runs]:
    """Every way on one fresh prompt after another, in an order that turns; one warm-up each."""
    for way in ways.values():
        way(draw(n, 0))
    runs = {name: Runs() for name in ways}
    order = list(ways)
    for seed in range(1, repeats + 1):
        order = order[1:] + order[:1]
        for name in order:
            runs[name].add(lambda way=ways[name], seed=seed: way(draw(n, seed)))
    return runs


def line(n: int, words: str, runs: Runs, against: float) -> str:
    """One row of the table: milliseconds, ratio to ours, MB."""
    return (
        f"{n:>6}  {words:<38}{runs.best * 1e3:9.0f}{median(runs.cpu) * 1e3:9.0f}"
        f"{min(runs.wall) * 1e3:9.0f}{runs.best / against:8.2f}{runs.peak / 1e6:9.0f}"
        f"{len(runs.cpu):6d}"
    )


def one_layer(subject: Bridged, n: int, repeats: int) -> float:
    """Print one length; returns how much longer the patterns alone take in TransformerLens."""
    plain = eager_model(subject)
    runs = take_turns(
        {
            "forward + statistics": lambda tokens: with_statistics(subject, tokens),
            "forward only": lambda tokens: forward_only(subject, tokens),
            "TransformerLens, patterns only": lambda tokens: cached(subject, tokens),
            "transformers eager, attentions only": lambda tokens: eager(plain, tokens),
        },
        n,
        repeats,
    )
    ours = runs["forward + statistics"].best
    for words, found in runs.items():
        print(line(n, words, found, ours), flush=True)
    return runs["TransformerLens, patterns only"].best / ours


def all_layers(repeats: int) -> float:
    """Print the share of statistics in a whole model's pass over a short prompt; returns it."""
    subject = subject_of(LAYERS, VOCABULARY)
    runs = take_turns(
        {
            "forward only": lambda tokens: forward_only(subject, tokens),
            "forward + statistics": lambda tokens: with_statistics(subject, tokens),
        },
        SHORT,
        repeats,
    )
    base = runs["forward only"].best
    print(f"\n{LAYERS} layers, {SHORT} tokens; ratio to the forward pass")
    for words, found in runs.items():
        print(line(SHORT, words, found, base))
    return runs["forward + statistics"].best / base - 1


def verdict(words: str, holds: bool) -> bool:
    """Say whether a goal is met."""
    print(f"{words}: {'holds' if holds else 'MISSES'}")
    return holds


def main() -> int:
    """Print the tables and the goals; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-most", type=int, default=max(LENGTHS), help="longest prompt, tokens")
    parser.add_argument("--more", type=int, default=0, help="that many more runs of each")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print(f"one thread; OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}\n")
    print("one layer; times in ms, ratio to forward + statistics, MB above what was held before")
    print(f"tokens  {'':<38}{'cpu min':>9}{'median':>9}{'wall min':>9}{'ratio':>8}{'MB':>9}  runs")
    subject = subject_of(1, FEW_WORDS)
    gains = {
        n: one_layer(subject, n, repeats + asked.more)
        for n, repeats in LENGTHS.items()
        if n <= asked.at_most
    }
    overhead = all_layers(LENGTHS[SHORT] + asked.more)
    print()
    held = [verdict(f"statistics add {overhead:.0%}, at most {OVERHEAD:.0%}", overhead <= OVERHEAD)]
    if AT in gains:
        words = f"patterns alone take {gains[AT]:.2f}x as long at {AT} tokens, at least {GAIN}x"
        held.append(verdict(words, gains[AT] >= GAIN))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
