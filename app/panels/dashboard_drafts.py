"""Unsaved edits of dashboards: values that can be undone, kept in memory by the link's name."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from interp.store import Markdown, Panel, Version
from interp.store.blocks import Block

MOST = 64  # drafts of all people; the one untouched for longest goes
STEPS = 30  # that can be undone
LONGEST = 20_000  # characters of a text

Numbered = tuple[int, Block]  # a block, and the number it has while it moves about


@dataclass(frozen=True)
class Draft:
    """A dashboard that is being edited. Every change makes another one."""

    dashboard_id: str  # empty: it is yet to be made
    base: int | None  # the version it began as
    title: str
    blocks: tuple[Numbered, ...] = ()
    before: tuple["Draft", ...] = ()  # what Undo goes back to, the last one last
    touched: datetime = field(default_factory=lambda: datetime.now(UTC))

    def step(self, title: str | None = None, blocks: tuple[Numbered, ...] | None = None) -> "Draft":
        """The next draft, from which this one can be had back."""
        earlier = (*self.before, replace(self, before=()))[-STEPS:]
        return replace(
            self,
            title=self.title if title is None else title,
            blocks=self.blocks if blocks is None else blocks,
            before=earlier,
            touched=datetime.now(UTC),
        )

    def undone(self) -> "Draft":
        """The draft before the last change."""
        if not self.before:
            return self
        return replace(self.before[-1], before=self.before[:-1], touched=datetime.now(UTC))

    def place(self, number: int) -> int:
        """Where a block stands; raises KeyError for one that is not there (any more)."""
        for at, (known, _) in enumerate(self.blocks):
            if known == number:
                return at
        raise KeyError(number)

    def moved(self, number: int, by: int) -> "Draft":
        """A block one up (-1) or down (+1); at the end it stays."""
        at, blocks = self.place(number), list(self.blocks)
        to = min(max(at + by, 0), len(blocks) - 1)
        if to == at:
            return self
        blocks.insert(to, blocks.pop(at))
        return self.step(blocks=tuple(blocks))

    def removed(self, number: int) -> "Draft":
        """Without a block."""
        at = self.place(number)
        return self.step(blocks=self.blocks[:at] + self.blocks[at + 1 :])

    def written(self, at: int) -> "Draft":
        """With an empty text before place `at`."""
        new = (max((n for n, _ in self.blocks), default=0) + 1, Markdown(""))
        return self.step(blocks=(*self.blocks[:at], new, *self.blocks[at:]))

    def worded(self, number: int, words: str) -> "Draft":
        """With other words in a text, or another title over a panel."""
        at = self.place(number)
        block = self.blocks[at][1]
        made: Block = (
            replace(block, title=words) if isinstance(block, Panel) else Markdown(words[:LONGEST])
        )
        if made == block:
            return self
        return self.step(blocks=(*self.blocks[:at], (number, made), *self.blocks[at + 1 :]))

    def saved(self) -> tuple[Block, ...]:
        """The blocks to save: texts without a word are left out."""
        return tuple(
            block
            for _, block in self.blocks
            if isinstance(block, Panel) or block.text.strip()
        )  # fmt: skip


def begin(version: Version | None, title: str = "") -> Draft:
    """A draft of a version, or of a dashboard that is yet to be made."""
    if version is None:
        return Draft("", None, title).written(0)
    blocks = tuple(enumerate(version.blocks, 1))
    return Draft(version.dashboard_id, version.number, version.title, blocks)


class Drafts:
    """Drafts by whose they are and by name. Thread-safe; at most MOST."""

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[str, str], Draft] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, account: str, name: str) -> Draft | None:
        """The draft of that name, if it is this account's."""
        with self.lock:
            return self.kept.get((account, name))

    def put(self, account: str, name: str, draft: Draft) -> None:
        """Keep it under its name."""
        with self.lock:
            self.kept[account, name] = draft
            self.kept.move_to_end((account, name))
            while len(self.kept) > MOST:
                self.kept.popitem(last=False)

    def begin(self, account: str, draft: Draft) -> str:
        """Keep it under a new name that nobody can guess."""
        name = secrets.token_hex(16)
        self.put(account, name, draft)
        return name

    def drop(self, account: str, name: str) -> None:
        """Forget it: it was saved or discarded."""
        with self.lock:
            self.kept.pop((account, name), None)

    def of(self, account: str, dashboard_id: str) -> list[tuple[str, Draft]]:
        """Drafts of a dashboard in which something was changed, the latest first."""
        with self.lock:
            mine = [(name, one) for (whose, name), one in self.kept.items() if whose == account]
        return [
            (name, one)
            for name, one in reversed(mine)
            if one.dashboard_id == dashboard_id and one.before
        ]


DRAFTS = Drafts()
