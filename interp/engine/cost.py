"""What a run will take, said before it starts; and the longest prompt that fits the budget."""

import os

from interp.measurements.rows import NUMBERS, most_rows
from interp.subject import Card

DEFAULT_BUDGET = 2 * 2**30
TILES = 8 * 2**20  # scratch of the statistics besides strips of rows
KEPT = 64 * 2**20  # of block inputs
LOGITS_AT_ONCE = 512  # tokens whose logits are there at a time


def memory_budget() -> int:
    """Bytes one run may take: HEADLAMP_MEMORY_BUDGET in MiB, or 2 GiB.

    Raises ValueError when the setting is not a positive number.
    """
    text = os.environ.get("HEADLAMP_MEMORY_BUDGET")
    if not text:
        return DEFAULT_BUDGET
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"HEADLAMP_MEMORY_BUDGET is {text!r}; give a whole number of MiB")
    return int(text) * 2**20


def run_bytes(card: Card, tokens: int) -> int:
    """Bytes a prompt of this length needs beyond the model, at its worst moment.

    What a layer's pass needs, a tile of scores, the logits of some tokens, and what is kept:
    inputs of blocks and row statistics, with what turns those into scores. Layers that cannot be
    streamed build one whole matrix at a time. Checked against measured peaks in tests.
    """
    heads = card.n_layers * card.n_heads
    layer = 4 * tokens * (10 * card.d_model + 8 * card.n_heads * card.d_head)
    logits = 2 * 4 * card.vocab_size * min(tokens, LOGITS_AT_ONCE)
    kept = min(KEPT, 4 * card.n_layers * tokens * card.d_model) + 4 * tokens * card.d_model
    read = min(tokens, most_rows(card))
    rows = 4 * (NUMBERS + 2) * heads * read
    scoring = 8 * 8 * heads * read
    whole = 0 if card.streams else 7 * 4 * card.n_heads * tokens**2
    tiles = min(32 * card.n_heads * tokens**2, TILES + 1024 * card.n_heads * tokens)
    return tiles + layer + logits + kept + 2 * rows + scoring + whole


def longest_prompt(card: Card, budget: int) -> int:
    """Tokens that fit both the model's context and the memory budget."""
    fits, too_many = 0, card.n_ctx + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if run_bytes(card, middle) <= budget:
            fits = middle
        else:
            too_many = middle
    return fits


def in_words(size: int) -> str:
    """Bytes for people."""
    for unit, power in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= power:
            return (
                f"{size / power:.3g} {unit}"
                if size < 999.5 * power
                else f"{size / power:.0f} {unit}"
            )
    return f"{size} bytes"
