"""GSM-IC (Shi et al. 2023): a word problem and the same with one irrelevant sentence in it."""

import re
from decimal import Decimal
from typing import Any

from interp.sets.strict import RowProblem, as_text, shown, whole
from interp.system2.example import Example, Piece
from interp.system2.sets.schemas.schema import Fields, Schema, item_name
from interp.system2.sets.sentences import counts, same, split
from models.strict import LONGEST_NUMBER

LABELS = ("n_steps", "role_label", "number_label", "sentence_label", "role", "number")
FROM_TEXT = 3  # candidates that are numbers of the problem, the distractor's first
NEAR = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5)  # then so far from the right answer
CANDIDATES = 6
NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")


def plain(number: Decimal) -> str:
    """A number as one would write it as an answer: 72, 12.5, 1600."""
    return f"{number:f}".rstrip("0").rstrip(".") if number % 1 else f"{number:.0f}"


def answer(value: Any) -> Decimal:
    """The right answer; raises RowProblem for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RowProblem(f"The field 'answer' is {shown(value)}; write a number.")
    text = str(value).strip().removeprefix("$").replace(",", "")
    if len(text) > LONGEST_NUMBER or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise RowProblem(f"The answer {shown(str(value))} is not a number such as 72 or 12.5.")
    return Decimal(text)


def place_of_distractor(old: tuple[str, ...], new: tuple[str, ...]) -> int:
    """Where the one sentence stands that is new; raises RowProblem where that isn't clear."""
    known = [same(sentence) for sentence in old]
    extra = [at for at, sentence in enumerate(new) if same(sentence) not in known]
    if len(extra) != 1:
        raise RowProblem(
            f"{len(extra)} sentences of 'new_question' are not in 'original_question'; the "
            "distractor is found only where it is exactly one."
        )
    rest = [same(sentence) for at, sentence in enumerate(new) if at != extra[0]]
    if rest != known:
        raise RowProblem(
            "Without its one new sentence 'new_question' is not 'original_question'; make them "
            "the same."
        )
    return extra[0]


def numbers(text: str) -> list[Decimal]:
    """The numbers of a text in digits, in order; overlong ones left out."""
    found = (digits.replace(",", "") for digits in NUMBER.findall(text))
    return [Decimal(digits) for digits in found if len(digits) <= LONGEST_NUMBER]


def candidates(right: Decimal, distractor: str, rest: str) -> tuple[str, ...]:
    """The right answer, numbers of the problem, and near misses; none negative unless it is.

    None starts with another's digits: a model that writes them one by one finds "1" at least as
    likely as "12".
    """
    from_text = [value for value in numbers(distractor) + numbers(rest) if value != right]
    misses = [right + by for by in NEAR if right + by >= 0 or right < 0]
    chosen: list[str] = []
    for text in map(plain, (right, *from_text[:FROM_TEXT], *misses)):
        if not any(one.startswith(text) or text.startswith(one) for one in chosen):
            chosen.append(text)
    return tuple(chosen[:CANDIDATES])


def labels(row: Fields) -> tuple[tuple[str, str], ...]:
    """Those that are there as text or whole numbers."""
    return tuple(
        (name, as_text(str(row[name]), f"The field '{name}'")[:80])
        for name in LABELS
        if isinstance(row.get(name), str | int) and str(row[name]).strip()
    )


def example(row: Fields, name: str) -> Example:
    """The distracted problem in sentences; raises RowProblem.

    The last sentence that is not the distractor asks; others with a number are needed, and the
    rest is context. Nothing says which answer the distractor leads to, so none is suggested.
    """
    original = whole(row, "original_question")
    new = split(whole(row, "new_question"))
    at = place_of_distractor(split(original), new)
    right = answer(row.get("answer"))
    asks = max((place for place in range(len(new)) if place != at), default=at)
    if asks == at:
        raise RowProblem("Besides the distractor there is no sentence that could ask.")
    pieces = tuple(
        Piece(sentence, "distraction") if place == at
        else Piece(sentence, "question") if place == asks
        else Piece(sentence, "needed" if counts(sentence) else "context")
        for place, sentence in enumerate(new)
    )  # fmt: skip
    return Example(
        name=name,
        item=item_name(original),
        form="distracted",
        pieces=pieces,
        right=plain(right),
        suggested="",
        candidates=candidates(right, new[at], original),
        labels=labels(row),
    )


SCHEMA = Schema("GSM-IC", ("original_question", "new_question", "answer"), example)
