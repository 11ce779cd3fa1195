"""Trained models of ours as folders: card.json, tokenizer.json, weights in half precision.

What is loaded is what the card says: every file's sha256, every name and shape, every number
finite. There is no pickle anywhere.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from models.device import device
from models.home import home
from models.tasks.planted import WordTokenizer
from models.tokenizer import BpeTokenizer, ByteTokenizer, Tokenizer
from models.training import settle, write
from models.transformer import Transformer, TransformerConfig

SHIPPED = Path(__file__).parent / "zoo"
CARD, WEIGHTS, TOKENIZER = "card.json", "model.safetensors", "tokenizer.json"
LARGEST = 2**30  # bytes of a file


@dataclass(frozen=True, eq=False)
class Trained:
    """A model as it stands on the shelf."""

    model: Transformer
    tokenizer: Tokenizer
    card: dict
    step: int  # of the run it was taken from


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Path]:
    """Those that come with Headlamp. Nothing is added to them while it runs, so it looks once."""
    return {card.parent.name: card.parent for card in sorted(SHIPPED.glob(f"*/{CARD}"))}


def stamp(folder: Path) -> int:
    """Another number when its card was written anew; a model that comes with Headlamp has 0."""
    return 0 if folder.parent == SHIPPED else (folder / CARD).stat().st_mtime_ns


def names() -> dict[str, Path]:
    """Every trained model: those that come with Headlamp, then those trained here.

    One of yours that is called as a shipped one is listed under its name and "-here".
    """
    found = {**shipped()}
    for card in sorted((home() / "trained").glob(f"*/{CARD}")):
        name = card.parent.name
        found[f"{name}-here" if name in found else name] = card.parent
    return found


def holds(folder: Path) -> bool:
    """Whether a folder is one of ours, whole or not, rather than another library's."""
    try:
        return (folder / CARD).is_file() and "snapshots" in json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_card(folder: Path) -> dict:
    """The card of a folder; raises ValueError, naming it, where it is missing or broken."""
    try:
        card = json.loads((folder / CARD).read_bytes())
        for field in ("name", "title", "config", "weights", "tokenizer", "snapshots", "recipe"):
            card[field]
    except OSError as problem:
        raise ValueError(f"{folder} holds no {CARD}: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{folder / CARD} is no card of a trained model: {problem!r}") from problem
    return card


def read(folder: Path, step: int | None = None) -> Trained:
    """A model, or one of its snapshots; raises ValueError, in a sentence, if it is not whole."""
    card = read_card(folder)
    files = {one["step"]: one for one in card["snapshots"]} | {card["steps"]: card["weights"]}
    step = card["steps"] if step is None else step
    if step not in files:
        raise ValueError(
            f"{card['name']} has no snapshot of step {step}; there are {sorted(files)}"
        )
    reads = tokenizer_for(folder, card["tokenizer"])
    raw = checked(folder / files[step]["file"], files[step]["sha256"])
    try:
        model = Transformer(TransformerConfig(**card["config"]))
        tensors = {k: v.float() if v.is_floating_point() else v for k, v in load(raw).items()}
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, TypeError, ValueError) as problem:
        words = str(problem).splitlines()[0]
        raise ValueError(f"{folder.name}: weights and config do not fit: {words}") from problem
    broken = [k for k, v in tensors.items() if not torch.isfinite(v).all()]
    if broken:
        raise ValueError(f"{folder.name}: weights {', '.join(broken)} are not finite")
    return Trained(model.to(device()).eval(), reads, card, step)


def words(folder: Path, said: Mapping[str, str]) -> Tokenizer:
    """That of planted opinions, which is code."""
    return WordTokenizer()


def bytewise(folder: Path, said: Mapping[str, str]) -> Tokenizer:
    """Bytes as tokens."""
    return ByteTokenizer()


def bpe(folder: Path, said: Mapping[str, str]) -> Tokenizer:
    """A tokenizer file of the folder or its shelf, which must be the one that the card names."""
    return BpeTokenizer.parse(checked(tokenizer_of(folder), said["sha256"]))


TOKENIZERS: dict[str, Callable[[Path, Mapping[str, str]], Tokenizer]] = {
    "bpe": bpe,
    "bytes": bytewise,
    "words": words,
}


def tokenizer_for(folder: Path, said: Mapping[str, str]) -> Tokenizer:
    """The tokenizer that a card names; raises ValueError for one that there is not."""
    if said.get("kind") not in TOKENIZERS:
        raise ValueError(f"{folder.name}: no tokenizer of kind {said.get('kind')!r}")
    return TOKENIZERS[said["kind"]](folder, said)


def tokenizer_of(folder: Path) -> Path:
    """A model's own tokenizer, else the one that all models on its shelf share."""
    own = folder / TOKENIZER
    return own if own.is_file() else folder.parent / TOKENIZER


def checked(path: Path, sha256: str) -> bytes:
    """A file's bytes; raises ValueError where they are not those that the card names."""
    try:
        with open(path, "rb", opener=without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            raw = file.read(size) if size <= LARGEST else b""
    except OSError as problem:
        raise ValueError(f"{path.name} of {path.parent.name} is missing") from problem
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path.name} of {path.parent.name} has sha256 {found[:16]}..., its card says "
            f"{sha256[:16]}...: the file was changed; get it again"
        )
    return raw


def without_waiting(path: str, flags: int) -> int:
    """Open as ever, but for a pipe in a file's place, which would wait for its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def put_weights(model: Transformer, path: Path) -> dict:
    """Write half-precision weights; returns their entry in a card."""
    half = {
        k: v.cpu().half() if v.is_floating_point() else v for k, v in model.state_dict().items()
    }
    write(half, path, {"format": "pt"})
    return {"file": path.name, "sha256": sha256_of(path), "dtype": "float16"}


def put_json(content: dict, path: Path) -> None:
    """Write a card; it is there whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fresh.write_text(json.dumps(content, indent=1) + "\n")
    settle(fresh, path)


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
