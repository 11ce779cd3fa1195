"""Models of the shelf that differ in nothing but the seed they were trained from."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from models import shelf


def siblings(name: str) -> tuple[str, ...]:
    """Names of all models trained as this one was, itself included, by seed; else it alone."""
    short = name.removeprefix("zoo-")
    folders = cards()
    if name == short or short not in folders:
        return (name,)
    made = recipe_of(folders[short])
    same = [(card["seed"], f"zoo-{other}") for other, card in folders.items()
            if recipe_of(card) == made]  # fmt: skip
    return tuple(other for _, other in sorted(same))


def seed_of(name: str) -> int | None:
    """The seed a model of the shelf was trained from; None for any other."""
    card = cards().get(name.removeprefix("zoo-")) if name.startswith("zoo-") else None
    return None if card is None else card.get("seed")


def recipe_of(card: dict[str, Any]) -> tuple[Any, ...]:
    """Everything about a run but its seed."""
    return tuple(card.get(field) for field in ("member", "config", "recipe", "corpus", "steps"))


def cards() -> dict[str, dict[str, Any]]:
    """Cards of the shelf by folder's name; broken ones are left out."""
    found = {}
    for short, folder in shelf.names().items():
        card = read(folder, shelf.stamp(folder))
        if card is not None and "member" in card:
            found[short] = card
    return found


@lru_cache(maxsize=256)
def read(folder: Path, changed: int) -> dict[str, Any] | None:
    """A card, read anew when it was changed; None where it cannot be read."""
    try:
        return shelf.read_card(folder)
    except ValueError:
        return None
