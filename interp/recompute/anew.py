"""The engine without its memory: work done through it is done, not remembered."""

from dataclasses import dataclass
from typing import Any

from interp.catalog import entries, on_the_shelf
from interp.engine.cost import in_words, longest_prompt, memory_budget
from interp.engine.job import Work
from interp.engine.shelf import Shelf
from interp.engine.works import loaded
from interp.progress import Progress
from interp.prompts import too_many_tokens
from interp.subject import Card, Refused, Subject


@dataclass(frozen=True)
class Anew:
    """What a Work gets in place of the engine: its models, and none of its cached results."""

    shelf: Shelf

    def compute(self, work: Work, progress: Progress) -> Any:
        """Do other work on the spot; raises Refused where it does not fit into memory."""
        if work.bytes_needed > memory_budget():
            raise Refused(
                f"{work.label} needs {in_words(work.bytes_needed)} and the memory budget is "
                f"{in_words(memory_budget())}."
            )
        return work.run(self, progress)

    def subject(self, name: str, progress: Progress) -> Subject:
        """A model of the catalogue; raises Refused for any other name."""
        listed(name)
        known = entries()
        return loaded(self, name, known[name].title if name in known else name, progress)


def listed(name: str) -> str:
    """The name, if the catalogue has it; raises Refused otherwise: nothing is looked up elsewhere.

    A Result out of a file may name anything, and a hub name would be fetched.
    """
    if name in entries() or name.rpartition("@")[0] in on_the_shelf():
        return name
    raise Refused(f"The model {name[:80]!a} is not among the models of this server.")


def check_prompt(card: Card, ids: tuple[int, ...]) -> None:
    """Raise Refused for a prompt that this model cannot read, or not within the budget."""
    limit = longest_prompt(card, memory_budget())
    if len(ids) > limit:
        raise Refused(too_many_tokens(len(ids), limit, card.n_ctx, memory_budget()))
    wrong = [one for one in ids if not 0 <= one < card.vocab_size]
    if wrong:
        raise Refused(f"{card.name} has {card.vocab_size:,} tokens; the prompt has {wrong[0]}.")


def check_head(card: Card, layer: int, head: int) -> None:
    """Raise Refused for a head that the model has not."""
    if not (0 <= layer < card.n_layers and 0 <= head < card.n_heads):
        raise Refused(f"{card.name} has no head L{layer}H{head}.")
