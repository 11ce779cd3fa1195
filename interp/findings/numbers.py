"""Numbers of the shipped models that findings are made of, seed by seed."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from interp.catalog import load
from interp.findings.claims import RECALLS
from interp.progress import Progress
from interp.result import Figure, Result
from interp.summary import SummaryRequest, run
from models import shelf


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of one trained model beside its null."""

    member: str
    seed: int
    metric: str
    unit: str
    value: float
    low: float  # 95 % interval
    high: float
    n: int
    n_of: str
    null: float  # of the random-init twin
    null_low: float
    null_high: float

    @property
    def twin(self) -> "Number":
        """The twin's own number."""
        ends = {"value": self.null, "low": self.null_low, "high": self.null_high}
        return Number(**{**self.__dict__, **ends})


def members(wanted: Iterable[str]) -> dict[str, list[str]]:
    """Names in the catalogue of the shipped models of each member, by seed; of those wanted."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name, folder in shelf.names().items():
        if folder.parent != shelf.SHIPPED:
            continue
        card = shelf.read_card(folder)
        if "task" not in card and card["member"] in set(wanted):
            found.setdefault(card["member"], []).append((card["seed"], f"zoo-{name}"))
    return {member: [name for _, name in sorted(models)] for member, models in found.items()}


def summaries(
    wanted: Iterable[str], request: SummaryRequest, progress: Progress
) -> dict[tuple[str, int], Result]:
    """The summary of every shipped model of these members, by member and seed."""
    models = [(m, i, name) for m, names in members(wanted).items() for i, name in enumerate(names)]
    found = {}
    for done, (member, seed, name) in enumerate(models):
        progress.step(done, len(models), f"reading {name}")
        progress.breathe()
        found[member, seed] = run(load(name), request, progress)
    return found


def of_summary(member: str, seed: int, figure: Figure) -> Number:
    """A figure of a summary as a number of its member."""
    return Number(
        member=member, seed=seed, metric=figure.key, unit=figure.unit, value=figure.value,
        low=figure.low, high=figure.high, n=figure.n, n_of=figure.n_of, null=figure.null,
        null_low=figure.null_low, null_high=figure.null_high,
    )  # fmt: skip


def recalls(wanted: Iterable[str], metric: str) -> list[Number]:
    """Accuracy of the recall models of that metric's width and pairs, out of the shipped table."""
    width, pairs = RECALLS[metric]
    table = json.loads((shelf.SHIPPED / "recall.json").read_bytes())["models"]
    found = []
    for card in table.values():
        recipe = card["recipe"]
        asked = recipe["width"] == width and recipe["rules"]["pairs"] == pairs
        if asked and recipe["variant"] in set(wanted):
            found.append(of_recall(recipe, metric, card["accuracy"], card["untrained"]))
    return sorted(found, key=lambda number: (number.member, number.seed))


def of_recall(recipe: dict, metric: str, share: dict, untrained: dict) -> Number:
    """A recall model's accuracy beside its untrained twin's."""
    return Number(
        member=recipe["variant"], seed=recipe["seed"], metric=metric,
        unit="share of queries answered", value=share["value"], low=share["low"],
        high=share["high"], n=share["sequences"], n_of="sequences", null=untrained["value"],
        null_low=untrained["low"], null_high=untrained["high"],
    )  # fmt: skip
