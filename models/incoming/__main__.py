"""python -m models.incoming FILE --config CONFIG: add a model as the page does, from a terminal."""

import argparse
import sys
from pathlib import Path

from models.incoming import bpe, config, keeping
from models.incoming.receiving import opened, receive, small
from models.seen import seen


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.incoming", description=__doc__)
    parser.add_argument("weights", nargs="?", type=Path, help="a .safetensors file")
    parser.add_argument("--config", type=Path, help="config.json, or a card.json of training")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json; without it: bytes")
    parser.add_argument("--title", help="for people; the file's name where none is given")
    parser.add_argument("--list", action="store_true", help="say what was added")
    parser.add_argument("--delete", metavar="NAME", help="remove one that was added")
    return parser


def main() -> int:
    """Add, list or delete; a problem is one sentence on stderr."""
    asked = arguments().parse_args()
    try:
        if asked.delete:
            keeping.delete(asked.delete)
        elif asked.list:
            for one in keeping.kept().values():
                print(f"{one.name}  {one.title}  {one.problem or 'whole'}")
        elif asked.weights and asked.config:
            print(added(asked).name)
        else:
            arguments().error("give a .safetensors file and --config, or --list, or --delete NAME")
    except ValueError as problem:
        print(f"headlamp: {seen(str(problem))}", file=sys.stderr)
        return 2
    return 0


def added(asked: argparse.Namespace) -> keeping.Kept:
    """Receive the files that were named, and keep the model."""
    said = set()

    def say(words: str) -> None:
        if words not in said:
            print(f"headlamp: {words} ...", file=sys.stderr)
        said.add(words)

    described = small(asked.config, config.LARGEST_FILE, "The config")
    reads = small(asked.tokenizer, bpe.LARGEST_FILE, "The tokenizer") if asked.tokenizer else None
    with opened(asked.weights) as file:
        staged = receive(file)
    name = asked.weights.name
    return keeping.add(keeping.Offer(staged, described, reads, asked.title or name, name), say)


if __name__ == "__main__":
    sys.exit(main())
