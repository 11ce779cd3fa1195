"""Checked models as folders named by a digest: card, weights, tokenizer; whole or not there."""

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models import shelf
from models.incoming import config as configs
from models.incoming.checking import Found, Limits, check
from models.incoming.receiving import Staged, kept_folder, told
from models.incoming.words import Rejected, title
from models.seen import seen
from models.transformer import TransformerConfig

Say = Callable[[str], None]

PREFIX = "uploaded-"
DIGEST = re.compile(r"[0-9a-f]{16}")
DAMAGED = "damaged.txt"  # the sentence why a folder could not be loaded


@dataclass(frozen=True)
class Offer:
    """What a user brings: staged weights, and the bytes of the small files beside them."""

    weights: Staged
    config: bytes
    tokenizer: bytes | None  # None: the model reads bytes
    title: str
    source: str  # what the file was called, for people


@dataclass(frozen=True)
class Kept:
    """A model that was added, as it is listed."""

    name: str  # in the catalogue
    folder: Path
    title: str
    card: dict  # empty where it cannot be read
    problem: str  # why it is set aside; empty: it is whole, as far as is known

    @property
    def digest(self) -> str:
        """What its folder is named by."""
        return self.folder.name


def add(offer: Offer, say: Say, limits: Limits | None = None) -> Kept:
    """Check an offer and keep it; its staged copy is gone afterwards, whatever came of it.

    Raises Rejected, in a sentence, for what is wrong; nothing is kept then.
    """
    try:
        shown, described = title(offer.title), configs.read(offer.config)
        found = check(offer.weights, offer.config, offer.tokenizer, say, limits)
        card = card_of(offer, described, found, shown)
        say("keeping it")
        return keep(offer, card)
    except OSError as problem:
        raise told(problem) from None
    finally:
        offer.weights.drop()


def card_of(offer: Offer, described: TransformerConfig, found: Found, shown: str) -> dict:
    """The card, in the form that trained models have, with a seal over all of it."""
    reads = {"kind": "bytes"}
    if offer.tokenizer is not None:
        reads = {"kind": "bpe", "sha256": hashlib.sha256(offer.tokenizer).hexdigest()}
    weights = {"file": shelf.WEIGHTS, "sha256": found.sha256, "dtype": found.dtype}
    card = {"config": described.to_dict(), "weights": weights, "tokenizer": reads}
    digest = sealed(card)[:16]
    card |= {
        "name": PREFIX + digest,
        "title": shown,
        "parameters": found.parameters,
        "bytes": offer.weights.size,
        "source": seen(offer.source)[:200],
        "added": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "snapshots": [],
        "recipe": {},
        "seed": 0,
        "steps": 0,
    }
    return card | {"seal": sealed(card)}


def sealed(card: dict) -> str:
    """sha256 of a card without its seal."""
    rest = {name: value for name, value in card.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def keep(offer: Offer, card: dict) -> Kept:
    """Make the staged folder whole, then give it its name in one step.

    Raises Rejected where the same model is here already; a damaged one is replaced.
    """
    staged, name = offer.weights.folder, card["name"]
    if offer.tokenizer is not None:
        put(staged / shelf.TOKENIZER, offer.tokenizer)
    shelf.put_json(card, staged / shelf.CARD)
    there = kept().get(name)
    if there and not there.problem:
        raise Rejected(f"This very model is here already: {there.title}.")
    if there:
        delete(name)
    os.rename(staged, kept_folder() / name.removeprefix(PREFIX))
    sync(kept_folder())
    return kept()[name]


def put(path: Path, raw: bytes) -> None:
    """A new file, on the disk."""
    with path.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Return when a folder's names are on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def kept() -> dict[str, Kept]:
    """Every model that was added, by its name in the catalogue, in order of titles."""
    folders = [f for f in kept_folder().glob("*") if DIGEST.fullmatch(f.name) and f.is_dir()]
    found = [listed(f, changed(f / shelf.CARD), changed(f / DAMAGED)) for f in folders]
    return {one.name: one for one in sorted(found, key=lambda one: (one.title, one.name))}


def changed(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1024)
def listed(folder: Path, card_changed: int, said_changed: int) -> Kept:
    """One of them, read from its card; set aside where the card is broken or loading failed.

    Read anew when a file of it was written.
    """
    name = PREFIX + folder.name
    try:
        card = read_card(folder)
    except ValueError as problem:
        return Kept(name, folder, name, {}, str(problem))
    said = (folder / DAMAGED).read_text() if said_changed else ""
    return Kept(name, folder, card["title"], card, said)


def read_card(folder: Path) -> dict:
    """The card of a folder; raises ValueError where it is not what was written."""
    try:
        card = shelf.read_card(folder)
    except ValueError:
        raise ValueError(
            f"The card of {PREFIX}{folder.name} cannot be read; add the model again."
        ) from None
    if card.get("seal") != sealed(card) or card["name"] != PREFIX + folder.name:
        raise ValueError(f"The card of {PREFIX}{folder.name} was changed; add the model again.")
    return card


def load(folder: Path) -> shelf.Trained:
    """The model as it was checked, by its sha256; raises ValueError where it is not, and sets it
    aside until it is whole again.
    """
    said = folder / DAMAGED
    try:
        found = shelf.read(folder) if read_card(folder) else None
    except ValueError as problem:
        with suppress(OSError):  # it is told all the same
            said.write_text(str(problem))
        raise
    said.unlink(missing_ok=True)
    return found


def delete(name: str) -> None:
    """Remove a model that was added; raises ValueError for a name that is none of them."""
    there = kept().get(name)
    if there is None:
        raise ValueError("There is no such model; it may have been deleted already.")
    gone = kept_folder() / ".staging" / uuid.uuid4().hex
    gone.parent.mkdir(mode=0o700, exist_ok=True)
    os.rename(there.folder, gone)
    sync(kept_folder())
    shutil.rmtree(gone, ignore_errors=True)
