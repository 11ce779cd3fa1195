"""Verdicts: a comparison holds where intervals separate for every pair of seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from interp.findings.claims import NEAR, NOT_OVER, OVER, RECALLS, TWIN, Claim, Comparison
from interp.findings.numbers import Number

AS_PUBLISHED, OPPOSITE, NOT_APART = "as published", "the opposite", "not told apart"
CLOSE = 0.03  # accuracies this close count as equal: what seeds alone do
Pairs = Sequence[tuple[Number, Number]]


@dataclass(frozen=True)
class Judged:
    """A comparison and what our numbers say of it."""

    comparison: Comparison
    one: tuple[Number, ...]  # a number a seed
    other: tuple[Number, ...]
    verdict: str


@dataclass(frozen=True)
class Finding:
    """A claim and what our numbers say of it."""

    claim: Claim
    judged: tuple[Judged, ...]

    @property
    def verdict(self) -> str:
        """Confirmed where every comparison is as published; refuted where all are the opposite."""
        said = [one.verdict for one in self.judged]
        if all(verdict == AS_PUBLISHED for verdict in said):
            return "confirmed"
        if all(verdict == OPPOSITE for verdict in said):
            return "refuted"
        if OPPOSITE in said:
            return "refuted in part"
        return "confirmed in part" if AS_PUBLISHED in said else "undecided"


def judge(claim: Claim, numbers: Sequence[Number]) -> Finding:
    """Hold a claim against our numbers; raises ValueError for a number that is missing."""
    return Finding(claim, tuple(decide(one, numbers) for one in claim.comparisons))


def decide(asked: Comparison, numbers: Sequence[Number]) -> Judged:
    """Every seed of one side against every seed of the other; a twin against its own model."""
    one = of(asked.one, asked.metric, numbers)
    if asked.other == TWIN:
        other = tuple(number.twin for number in one)
        pairs = list(zip(one, other, strict=True))
    else:
        other = of(asked.other, asked.metric, numbers)
        pairs = list(product(one, other))
    return Judged(asked, one, other, RELATIONS[asked.relation](pairs))


def of(member: str, metric: str, numbers: Sequence[Number]) -> tuple[Number, ...]:
    """A member's numbers, by seed."""
    found = tuple(x for x in numbers if x.member == member and x.metric == metric)
    if not found:
        where = "recall.json" if metric in RECALLS else "the zoo"
        raise ValueError(f"{where} holds no {member} for {metric!r}; train it first")
    return found


def over(pairs: Pairs) -> str:
    """Whether all intervals separate in one direction."""
    if all(a.low > b.high for a, b in pairs):
        return AS_PUBLISHED
    return OPPOSITE if all(a.high < b.low for a, b in pairs) else NOT_APART


def no_more_than(pairs: Pairs) -> str:
    """Whether none lies above its counterpart."""
    above = [a.low > b.high for a, b in pairs]
    return OPPOSITE if all(above) else NOT_APART if any(above) else AS_PUBLISHED


def near(pairs: Pairs) -> str:
    """Whether means over seeds lie within CLOSE of each other."""
    a, b = ({x.seed: x.value for x in side} for side in zip(*pairs, strict=True))
    apart = abs(sum(a.values()) / len(a) - sum(b.values()) / len(b))
    return AS_PUBLISHED if apart <= CLOSE else OPPOSITE


RELATIONS: dict[str, Callable[[Pairs], str]] = {OVER: over, NEAR: near, NOT_OVER: no_more_than}
