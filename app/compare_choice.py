"""Choice: everything a link to the Compare page restores. The URL is the truth."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from app import may
from app.starters import DEFAULT_STARTER, STARTERS
from app.state import INLINE
from interp import prompts
from interp.compare.metrics import SORTS
from interp.listing import listed

FEWEST, MOST = 2, 6  # models
DEFAULT_TEXT = STARTERS[DEFAULT_STARTER].text


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is on the page."""

    models: tuple[str, ...] = ()
    text: str = DEFAULT_TEXT
    opened: bool = False  # the prompt stands after the token that opens a text
    seeds: bool = True  # other seeds of the same member beside
    sort: str = "loss"
    seed: int = 0  # of random tokens, twins and intervals
    run: bool = False  # what takes long was asked for

    def to_query(self) -> dict[str, str]:
        """URL parameters; what has its default value is left out."""
        query = {"models": ",".join(self.models)}
        if self.text != DEFAULT_TEXT:
            long = len(self.text) > INLINE
            query |= {"prompt": may.keep_prompt(self.text)} if long else {"text": self.text}
        if self.sort != "loss":
            query["sort"] = self.sort
        if self.seed:
            query["seed"] = str(self.seed)
        flags = {"open": self.opened, "run": self.run}
        query |= {name: "1" for name, on in flags.items() if on}
        return query if self.seeds else query | {"seeds": "0"}

    @staticmethod
    def from_query(query: Mapping[str, str]) -> "Choice":
        """The choice of a URL; a parameter that makes no sense counts as absent.

        Raises prompts.PromptError for a kept prompt that this server does not have.
        """
        names = [name.strip() for name in query.get("models", "").split(",")]
        models = tuple(dict.fromkeys(filter(None, names)))[:MOST]
        text = query.get("text") or DEFAULT_TEXT
        if "prompt" in query:
            text = prompts.recall(query["prompt"])
        seed = re.fullmatch(r"\d{1,9}", query.get("seed", ""))
        return Choice(
            models=models or usual(),
            text=text,
            opened=query.get("open") == "1",
            seeds=query.get("seeds") != "0",
            sort=query["sort"] if query.get("sort") in SORTS else "loss",
            seed=int(seed[0]) if seed else 0,
            run=query.get("run") == "1",
        )


def usual() -> tuple[str, ...]:
    """What is compared unless something is chosen: the first trained models of ours."""
    return tuple(listed(small=True))[:3]


def read() -> Choice:
    """The choice of this page's link."""
    return Choice.from_query(st.query_params.to_dict())


def change(**fields: object) -> None:
    """Put other values into the link; what takes long has to be asked for anew."""
    try:
        now = read()
    except prompts.PromptError:
        now = Choice(models=usual())
    asks = set(fields) - {"sort"}
    st.query_params.from_dict(replace(now, **({"run": False} if asks else {}) | fields).to_query())
