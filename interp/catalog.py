"""MODELS: every model that can be chosen by name; anything else is a hub name or a folder."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from interp.adapters.bridged import Bridged
from interp.adapters.own import Own, untrained
from interp.labels import told_apart
from interp.subject import Subject
from models import pretrained, shelf, smollm2
from models.incoming import folders, keeping
from models.registry import VARIANTS, variant
from models.tokenizer import ByteTokenizer
from models.transformer import TransformerConfig

Say = Callable[[str], None]  # what loading is doing, in words, while someone waits

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


@dataclass(frozen=True)
class Entry:
    """A model in the picker."""

    title: str
    load: Callable[[Say], Subject]


def small(name: str) -> TransformerConfig:
    """The size of our untrained models: two layers, eight heads, in four groups where it can."""
    traits = variant(name).traits
    return TransformerConfig(
        variant=name,
        n_heads=8,
        n_kv_heads=4 if traits.grouped else 8,
        positions="rotary" if traits.rotary else "none",
        vocab_size=ByteTokenizer.vocab_size,
        n_ctx=8192,
    )


def quiet(words: str) -> None:
    """For whoever does not watch."""


def from_hub(name: str, title: str, source: str, say: Say) -> Subject:
    """A pretrained model by hub name or folder."""
    say(f"reading the weights of {title}")
    loaded = pretrained.load(source)
    say(f"looking at the matrices of {title}")
    return Bridged(name, title, loaded, trained=True)


def shelved(name: str, folder: Path, step: int | None = None, say: Say = quiet) -> Subject:
    """A trained model of ours, or a snapshot along its training; ValueError where it is broken."""
    say(f"reading the weights of {name}")
    found = shelf.read(folder, step)
    title = shelf_title(folder, found.card) + ("" if step is None else f", step {step:,}")
    return Own(name, title, found.model, trained=found.step > 0, tokenizer=found.tokenizer)


def shelf_title(folder: Path, card: dict) -> str:
    """A trained model's title for people."""
    seed = f", seed {card['seed']}" if card["seed"] else ""
    return f"{'Zoo' if folder.parent == shelf.SHIPPED else 'Trained here'}: {card['title']}{seed}"


@lru_cache(maxsize=256)
def shelf_entry(name: str, folder: Path, changed: int) -> Entry | None:
    """A line of the picker, read anew when its card was changed; None for a broken card."""
    try:
        title = shelf_title(folder, shelf.read_card(folder))
    except ValueError:
        return None
    return Entry(title, lambda say: shelved(name, folder, say=say))


def on_the_shelf() -> dict[str, Entry]:
    """Trained models of ours, by zoo- and their folder's name."""
    found = {}
    for short, folder in shelf.names().items():
        name = f"zoo-{short}"
        entry = shelf_entry(name, folder, shelf.stamp(folder))
        if entry is not None:
            found[name] = entry
    return found


def uploaded() -> dict[str, Entry]:
    """Models that were added; a damaged one is listed as such, and says why when it is chosen."""
    return {
        name: Entry(
            f"{'Damaged' if one.problem else 'Uploaded'}: {one.title}",
            lambda say, one=one: brought(one, say),
        )
        for name, one in keeping.kept().items()
    }


def brought(one: keeping.Kept, say: Say) -> Subject:
    """A model that was added, as it was checked; ValueError where it no longer is."""
    say(f"reading the weights of {one.title}")
    found = keeping.load(one.folder)
    title = f"Uploaded: {one.title}"
    return Own(one.name, title, found.model, trained=True, tokenizer=found.tokenizer)


def local() -> dict[str, Entry]:
    """Hugging Face folders that an administrator allowed with HEADLAMP_FOLDERS."""
    return {
        name: Entry(
            f"Folder: {folder.name}",
            lambda say, name=name, folder=folder: from_folder(name, folder, say),
        )
        for name, folder in folders.offered().items()
    }


def from_folder(name: str, folder: Path, say: Say) -> Subject:
    """A model of an allowed folder, looked at before it is read."""
    say(f"checking the folder {folder.name}")
    folders.check(folder, folder.parent)
    return from_hub(name, f"Folder: {folder.name}", str(folder), say)


def embedded(say: Say) -> Subject:
    """SmolLM2, downloaded once; raises ValueError, in one sentence, when it cannot be had."""
    try:
        smollm2.fetch(say)
    except (RuntimeError, OSError) as problem:
        raise ValueError(str(problem)) from problem
    return from_hub("smollm2", "SmolLM2-135M-Instruct", "smollm2", say)


MODELS: dict[str, Entry] = {
    "smollm2": Entry("SmolLM2-135M-Instruct", embedded),
} | {
    f"untrained-{name}": Entry(
        f"Untrained: {made.title}",
        lambda say, name=name, title=f"Untrained: {made.title}": untrained(
            f"untrained-{name}", title, small(name), seed=0
        ),
    )
    for name, made in VARIANTS.items()
}


def configured() -> dict[str, Entry]:
    """Models an administrator added: HEADLAMP_MODELS="name=folder or hub name,name=...".

    Raises ValueError for an entry that is not of that form.
    """
    extra = {}
    for item in filter(str.strip, os.environ.get("HEADLAMP_MODELS", "").split(",")):
        name, found, source = (part.strip() for part in item.partition("="))
        if not (name and found and source):
            raise ValueError(f"HEADLAMP_MODELS entry {item!r} is not of the form name=folder")
        title = f"{name} ({Path(source).name})"
        extra[name] = Entry(
            title,
            lambda say, name=name, source=source, title=title: (
                shelved(name, Path(source), say=say)
                if shelf.holds(Path(source))
                else from_hub(name, title, source, say)
            ),
        )
    return extra


def entries() -> dict[str, Entry]:
    """All models by name: the real one, those that were added, trained, untrained, configured."""
    real = {"smollm2": MODELS["smollm2"]}
    found = real | uploaded() | on_the_shelf() | MODELS | local() | configured()
    titles = told_apart({name: entry.title for name, entry in found.items()})
    return {name: replace(entry, title=titles[name]) for name, entry in found.items()}


def titles() -> dict[str, str]:
    """What every model is called. Folders are read for it: ask once, not once for each model."""
    return {name: entry.title for name, entry in entries().items()}


def load(name: str, say: Say = quiet) -> Subject:
    """The subject of a name in the catalogue, a hub name, or a local folder.

    Raises ValueError or Refused, in one sentence, when there is none.
    """
    known = entries()
    base, at, step = name.rpartition("@")
    if at and base in on_the_shelf():
        if not (step.isascii() and step.isdecimal()):
            raise ValueError(f"{name!r}: give a step after @, such as {base}@100, or no @")
        return shelved(name, shelf.names()[base.removeprefix("zoo-")], int(step), say)
    return known[name].load(say) if name in known else from_hub(name, name, name, say)


def load_listed(name: str, say: Say = quiet) -> Subject:
    """The same for names typed into a page: a catalogue or hub name, never a path.

    Raises ValueError when the name would read a folder of this machine.
    """
    listed = name in entries() or name.rpartition("@")[0] in on_the_shelf()
    if not listed and (not HUB_NAME.fullmatch(name) or Path(name).exists()):
        raise ValueError(
            f"{name!r} is no model in the list and no hub name such as org/model; an administrator "
            "can add a folder with HEADLAMP_MODELS=name=folder"
        )
    return load(name, say)
