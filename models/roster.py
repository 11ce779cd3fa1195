"""python -m models.roster --corpus F --held-out F: every run of the zoo, one after the other.

Runs that are finished are left alone, one that was stopped goes on. `--check mha` trains one member
again elsewhere and holds its loss to the shipped ones.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from models import shelf, train
from models.corpus import split
from models.recipe import MEMBERS, SIZES
from models.tokenizer import BpeTokenizer

SEEDS = ("mha", "linear", "delta", "sink_logit")  # three seeds each
SNAPSHOTS = ("mha_one_layer", "mha", "linear", "gated_delta", "smeared_key_one_layer")
FIRST = (  # what findings need
    *("mha", "linear", "delta", "sink_logit", "mha_one_layer", "smeared_key_one_layer"),
    *("sigmoid", "unnormalised", "k_bias", "gated_delta"),
)
SHIPPED = (
    *FIRST,
    *("window", "norm_attention", "gqa", "mqa", "mla", "retnet", "softmax1", "fox", "gated"),
    *("alibi", "streaming", "simple_gla", "cosformer"),
)


@dataclass(frozen=True)
class Planned:
    """One run of the zoo."""

    member: str
    seed: int = 0

    @property
    def name(self) -> str:
        """Its folder."""
        return self.member + (f"-seed{self.seed}" if self.seed else "")

    @property
    def words(self) -> list[str]:
        """What the training command is told."""
        snapshots = ["--snapshots"] if self.member in SNAPSHOTS and not self.seed else []
        return ["--variant", self.member, "--seed", str(self.seed), *snapshots]


def planned() -> tuple[Planned, ...]:
    """Every run, those that findings need first."""
    more = tuple(Planned(name, seed) for seed in (1, 2) for name in SEEDS)
    return (*map(Planned, FIRST), *more, *map(Planned, SHIPPED[len(FIRST) :]))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.roster", description=__doc__)
    parser.add_argument("--corpus", required=True, help="text to train on")
    parser.add_argument("--held-out", required=True, help="text to test on")
    parser.add_argument("--check", choices=MEMBERS, metavar="NAME", help="hold one to its cards")
    parser.add_argument("--threads", default="1", help="CPU threads of a run")
    return parser


def main(words: list[str] | None = None) -> int:
    """0 when every run is on the shelf, or the check holds."""
    args = arguments().parse_args(words)
    texts = ["--corpus", args.corpus, "--held-out", args.held_out, "--threads", args.threads]
    if args.check:
        return check(args.check, texts)
    put_tokenizer(Path(args.corpus), Path(args.held_out))
    for run in planned():
        folder = shelf.SHIPPED / run.name
        if not (folder / shelf.CARD).is_file():
            failed = train.main([*run.words, *texts, "--out", str(folder)])
            if failed:
                return failed
    return 0


def put_tokenizer(corpus: Path, held_out: Path) -> None:
    """The one tokenizer of all runs, trained on the text once."""
    path = shelf.SHIPPED / shelf.TOKENIZER
    if not path.is_file():
        train.say(f"training the tokenizer on {corpus.name} ...")
        path.parent.mkdir(exist_ok=True)
        texts = split(corpus, held_out)[0]
        BpeTokenizer.train(texts, SIZES["small"].vocab_size).save(path)


def check(member: str, texts: list[str]) -> int:
    """Train a member once more and hold its held-out loss to the shipped seeds' spread."""
    cards = [card for card in shipped_cards() if card["member"] == member]
    if not cards:
        train.say(f"no shipped model is a {member}; choose one of {', '.join(SHIPPED)}")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / member
        failed = train.main(["--variant", member, *texts, "--out", str(out)])
        if failed:
            return failed
        found = shelf.read_card(out)["losses"]["held_out"]["value"]
    losses = [card["losses"]["held_out"]["value"] for card in cards]
    noise = seed_noise()
    low, high = min(losses) - noise, max(losses) + noise
    holds = low <= found <= high
    train.say(
        f"{member}: {found:.4f} nats per byte; shipped {', '.join(f'{x:.4f}' for x in losses)}, "
        f"seed noise {noise:.4f}: {'within' if holds else 'NOT within'} {low:.4f} to {high:.4f}"
    )
    return 0 if holds else 1


def shipped_cards() -> list[dict]:
    """Cards of the models of text that come with Headlamp; those of tasks are no part of this."""
    folders = [folder for folder in shelf.names().values() if folder.parent == shelf.SHIPPED]
    return [card for card in map(shelf.read_card, folders) if "task" not in card]


def seed_noise() -> float:
    """The largest difference of two shipped seeds of one member, nats per byte."""
    by_member: dict[str, list[float]] = {}
    for card in shipped_cards():
        by_member.setdefault(card["member"], []).append(card["losses"]["held_out"]["value"])
    spread = [max(found) - min(found) for found in by_member.values() if len(found) > 1]
    return max(spread, default=0.0)


if __name__ == "__main__":
    sys.exit(main())
