"""Snapshots along the training of models on the shelf, and what names each of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.compare.seeds import cards, read
from interp.subject import Refused
from interp.summary_numbers import HEADS, WHOLES
from models import __version__, shelf
from models.registry import VARIANTS


@dataclass(frozen=True)
class Snapshot:
    """A model as it stood after some steps."""

    model: str  # name in the catalogue: zoo-mha
    title: str
    step: int
    tokens: int  # trained on so far
    parameters: int
    digest: str  # 32 hex digits of its weights, config, tokenizer and of what a summary measures

    @property
    def name(self) -> str:
        """Its own name in the catalogue: zoo-mha@658."""
        return f"{self.model}@{self.step}"

    @property
    def words(self) -> str:
        """When it was taken."""
        return f"step {self.step:,}"


def along(name: str) -> tuple[Snapshot, ...]:
    """Snapshots of a model, the finished one last; raises Refused where none were kept."""
    folder = shelf.names().get(name.removeprefix("zoo-")) if name.startswith("zoo-") else None
    card = None if folder is None else read(folder, shelf.stamp(folder))
    if card is None:
        raise Refused(f"{name!r} is no model of the zoo; choose one of {words(known())}.")
    if not card["snapshots"]:
        raise Refused(
            f"{name} was trained without snapshots, so that nothing is known of its way; "
            f"those with snapshots: {words(known())}."
        )
    files = [*card["snapshots"], {"step": card["steps"], **card["weights"]}]
    each = card["recipe"]["rows"] * card["recipe"]["length"]
    return tuple(
        Snapshot(
            name, card["title"], one["step"], one["step"] * each, card["parameters"],
            digest(card, one["sha256"]),
        )
        for one in sorted(files, key=lambda one: one["step"])
    )  # fmt: skip


def digest(card: Mapping[str, Any], sha256: str) -> str:
    """Names the weights, all that reads them, and the definitions of what is measured."""
    numbers = [(one.key, one.definition) for one in (*HEADS, *WHOLES)]
    facts = [sha256, card["config"], card["tokenizer"], __version__, numbers]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def known() -> dict[str, str]:
    """Titles of models that have snapshots, by name, those whose rows are a softmax first."""
    found = {f"zoo-{short}": card for short, card in cards().items() if card["snapshots"]}
    order = sorted(found, key=lambda name: (not softmax(found[name]), not shipped(name)))
    return {name: found[name]["title"] for name in order}


def usual() -> tuple[str, ...]:
    """What is drawn unless something else is chosen: softmax attention, of one layer and of two."""
    there = known()
    alike = [name for name in there if softmax(cards()[name.removeprefix("zoo-")])]
    return tuple(alike or there)[:MOST]


MOST = 5  # models at once


def softmax(card: Mapping[str, Any]) -> bool:
    """Whether its scores are logits of a softmax."""
    made = VARIANTS.get(card["config"].get("variant"))
    return made is not None and made.traits.logits


def shipped(name: str) -> bool:
    """Whether it comes with Headlamp rather than having been trained here."""
    folder: Path = shelf.names()[name.removeprefix("zoo-")]
    return folder.parent == shelf.SHIPPED


def words(names: Mapping[str, str]) -> str:
    """Names in a sentence."""
    return ", ".join(names) or "none so far; train one with --snapshots"
