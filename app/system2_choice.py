"""Choice: everything a link to the System 2 page restores. The URL is the truth."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from app import may
from interp.studies.study import Setting
from interp.system2.inside.registry import INSIDE
from interp.system2.rewriters.registry import REWRITERS
from interp.system2.sets.registry import SETS

MOST_ITEMS = 200  # of one run
MOST_INDEX = 999
MOST_LOOKED = 48  # examples of one question about the inside
OWN = "own"  # in place of a set's name: one typed example, or an uploaded file
RUNS = ("example", "set", "across")  # what can be started, besides questions about the inside


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is on the page."""

    model: str = "smollm2"
    set_name: str = "opinions"
    own: str = ""  # digest of kept JSON lines, where set_name is OWN
    index: int = 0  # of the item that is looked at
    form: str = ""  # empty: the first with a distraction
    rewriter: str = next(iter(REWRITERS))
    # ("rewriter.setting" or "question.setting", text), where not the default
    settings: tuple[tuple[str, str], ...] = ()
    items: int = 24  # of a run over the set
    seed: int = 0
    look: str = ""  # which question about the inside is open
    looked: int = 1  # how many examples it is asked of; 1: the one that is looked at
    rewritten: bool = False  # of several examples: after the rewriter, not the oracle
    across: int = 24  # items of the comparison across variants
    started: tuple[str, ...] = ()  # what was asked for: RUNS and questions

    def to_query(self) -> dict[str, str]:
        """URL parameters; what has its default value is left out."""
        plain = Choice()
        names = {"model": "model", "set_name": "set", "own": "own", "index": "item"}
        names |= {"form": "form", "rewriter": "rewriter", "items": "n", "seed": "seed"}
        names |= {"look": "look", "looked": "examples", "across": "across"}
        query = {
            short: str(getattr(self, long))
            for long, short in names.items()
            if getattr(self, long) != getattr(plain, long)
        }
        query |= {"rewritten": "1"} if self.rewritten else {}
        query |= dict(self.settings)
        return query | ({"started": ",".join(self.started)} if self.started else {})

    @staticmethod
    def from_query(query: Mapping[str, str]) -> "Choice":
        """The choice of a URL; a parameter that makes no sense counts as absent."""
        made = {"model": query.get("model", Choice.model), "look": query.get("look", "")}
        made["form"] = query.get("form", "")
        if query.get("set") in {*SETS, OWN}:
            made["set_name"] = query["set"]
        if re.fullmatch(r"[0-9a-f]{16,64}", query.get("own", "")):
            made["own"] = query["own"]
        if query.get("rewriter") in REWRITERS:
            made["rewriter"] = query["rewriter"]
        made |= whole(query, "item", "index", 0, MOST_INDEX)
        made |= whole(query, "n", "items", 1, MOST_ITEMS)
        made |= whole(query, "seed", "seed", 0, 10**9 - 1)
        made |= whole(query, "examples", "looked", 1, MOST_LOOKED)
        made |= whole(query, "across", "across", 1, MOST_ITEMS)
        made["rewritten"] = query.get("rewritten") == "1"
        made["settings"] = tuple(
            (name, text) for name, text in query.items()
            if name.split(".", 1)[0] in {*REWRITERS, *INSIDE} and "." in name
        )  # fmt: skip
        made["started"] = tuple(filter(None, query.get("started", "").split(",")))[:16]
        return Choice(**made)

    def chosen(self, owner: str) -> dict[str, str]:
        """Texts of a rewriter's or a question's settings that are not the default."""
        pairs = ((name.split(".", 1), text) for name, text in self.settings)
        return {setting: text for (whose, setting), text in pairs if whose == owner}


def whole(query: Mapping[str, str], name: str, field: str, low: int, high: int) -> dict[str, int]:
    """A whole number within its range, or nothing."""
    text = query.get(name, "")
    value = int(text) if re.fullmatch(r"\d{1,10}", text) else low - 1
    return {field: value} if low <= value <= high else {}


def read() -> Choice:
    """The choice of this page's link."""
    return Choice.from_query(st.query_params.to_dict())


def change(**fields: Any) -> None:
    """Put other values into the link; what was asked for about another example is forgotten."""
    now = replace(read(), **fields)
    if "started" not in fields and set(fields) - {"look"}:
        now = replace(now, started=())
    st.query_params.from_dict(now.to_query())


def start(name: str) -> None:
    """Ask for a run."""
    now = read()
    change(started=tuple(dict.fromkeys((*now.started, name))))


def change_look(**fields: Any) -> None:
    """Put other values of questions about the inside into the link: they wait for Run again."""
    started = tuple(name for name in read().started if name not in INSIDE)
    change(**fields, started=started)


def change_setting(owner: str, one: Setting, value: Any, put: Callable[..., None]) -> None:
    """Put a rewriter's or a question's setting into the link, its default leaves it out."""
    mine = f"{owner}.{one.name}"
    value = one.default if value is None else value
    others = tuple(pair for pair in read().settings if pair[0] != mine)
    put(settings=others + (() if value == one.default else ((mine, one.write(value)),)))


def keep(text: str) -> str:
    """Keep JSON lines on this server; raises prompts.PromptError where they are too long."""
    return may.keep_prompt(text)
