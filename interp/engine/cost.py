"""What a run will take, said before it starts; and the longest prompt that fits the budget."""

import os

from interp.subject import Card

DEFAULT_BUDGET = 2 * 2**30


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

    One layer's matrix and its reductions, the logits, and what is kept: every block's input and
    the row statistics. Checked against measured peaks in tests.
    """
    matrix = 4 * card.n_heads * tokens**2
    logits = 4 * card.vocab_size * tokens
    kept = 4 * card.n_layers * tokens * card.d_model + 4 * tokens**2
    rows = 4 * 15 * card.n_layers * card.n_heads * tokens
    return max(7 * matrix, 2 * logits) + kept + 2 * rows


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
