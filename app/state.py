"""Selection: everything a link restores. The URL is the truth; widgets are filled from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from app import may
from app.starters import DEFAULT_STARTER
from interp import prompts
from interp.many_tests import RULES
from interp.studies.registry import STUDIES
from interp.studies.study import settings

DEFAULT_MODEL = "smollm2"
ALL_ROWS = 0  # as a number of sampled rows: no sample
INLINE = 400  # characters of a prompt that a URL carries itself; a longer one is kept by its digest

# First query row, the one past the last, first key, the one past the last.
Zoom = tuple[int, int, int, int]
Brush = tuple[float, float, float, float]  # x from, to, y from, to
AXES = {"x": "sink", "y": "induction", "colour": "S"}  # metrics of the scatter of heads


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is on the page. Heads and tokens are 0-based."""

    model: str = DEFAULT_MODEL
    starter: str = DEFAULT_STARTER  # name of a starter prompt, empty when the prompt is typed
    text: str = ""
    special: bool = False  # control tokens such as <|im_start|> are read out of the text
    layer: int | None = None  # None: the strongest head
    head: int | None = None
    metric: str = "sink"
    ranked: bool = False  # strongest first instead of layer by layer
    clipped: bool = False  # token 0 left out of the matrix's colour range
    pin: int | None = None
    rows: int | None = None  # query rows to sample; ALL_ROWS: all, however long it takes
    zoom: Zoom | None = None  # part of a long prompt's matrix; None: where it ends, or at the pin
    seed: int = 0  # of samples, nulls and intervals
    fdr: float | None = None  # false discovery rate that verdicts of all heads are held to
    rule: str = "BH"  # which rule holds it
    card: tuple[int, int] | None = None  # the head whose card is open
    x: str = AXES["x"]
    y: str = AXES["y"]
    colour: str = AXES["colour"]
    cloud: bool = True  # nulls beside the heads of the scatter
    bars: bool = False  # intervals of its heads as bars
    brush: Brush | None = None  # the part of it that is listed
    study: str = ""  # which study is open below; empty, or one of another page: the first
    started: tuple[str, ...] = ()  # studies that were asked for
    settings: tuple[tuple[str, str], ...] = ()  # ("study.setting", text), where not the default

    def to_query(self) -> dict[str, str]:
        """URL parameters; what has its default value is left out."""
        query = {}
        if self.model != DEFAULT_MODEL:
            query["model"] = self.model
        if self.starter:
            query["starter"] = self.starter
        elif len(self.text) <= INLINE:
            query["text"] = self.text
        else:
            query["prompt"] = may.keep_prompt(self.text)
        query |= self.places()
        if self.metric != "sink":
            query["metric"] = self.metric
        flags = {"special": self.special, "ranked": self.ranked, "clipped": self.clipped}
        query |= {name: "1" for name, on in flags.items() if on}
        return query | self.studies() | self.scatter()

    def scatter(self) -> dict[str, str]:
        """URL parameters of the scatter of heads, and of the open card."""
        query = {name: getattr(self, name) for name in AXES if getattr(self, name) != AXES[name]}
        if not self.cloud:
            query["cloud"] = "0"
        if self.bars:
            query["bars"] = "1"
        if self.brush:
            query["brush"] = ",".join(f"{end:.6g}" for end in self.brush)
        if self.card:
            query["card"] = "{}.{}".format(*self.card)
        return query

    def studies(self) -> dict[str, str]:
        """URL parameters of what was asked beyond the scores."""
        query = dict(self.settings)
        if self.study:
            query["study"] = self.study
        if self.started:
            query["started"] = ",".join(self.started)
        if self.seed:
            query["seed"] = str(self.seed)
        if self.fdr is not None:
            query["fdr"] = f"{self.fdr:g}"
        if self.rule != "BH":
            query["rule"] = self.rule
        return query

    def chosen(self, study: str) -> dict[str, str]:
        """Texts of a study's settings that are not the default."""
        parts = ((name.split(".", 1), text) for name, text in self.settings)
        return {setting: text for (owner, setting), text in parts if owner == study}

    def places(self) -> dict[str, str]:
        """URL parameters of where to look: head, token, rows and window."""
        chosen = {
            "head": f"{self.layer}.{self.head}" if None not in (self.layer, self.head) else None,
            "token": self.pin,
            "rows": "all" if self.rows == ALL_ROWS else self.rows,
            "zoom": self.zoom and ".".join(map(str, self.zoom)),
        }
        return {name: str(value) for name, value in chosen.items() if value is not None}

    @staticmethod
    def from_query(query: Mapping[str, str]) -> "Selection":
        """The selection of a URL; a parameter that makes no sense counts as absent.

        Raises prompts.PromptError for a kept prompt that this server does not have.
        """
        text, starter = query.get("text", ""), query.get("starter", "")
        if "prompt" in query:
            text = prompts.recall(query["prompt"])
        if not starter and "text" not in query and "prompt" not in query:
            starter = DEFAULT_STARTER
        head = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", query.get("head", ""))
        pin = re.fullmatch(r"\d{1,7}", query.get("token", ""))
        rows = re.fullmatch(r"[1-9]\d{0,6}", query.get("rows", ""))
        return Selection(
            model=query.get("model", DEFAULT_MODEL),
            starter=starter,
            text=text,
            special=query.get("special") == "1",
            layer=int(head[1]) if head else None,
            head=int(head[2]) if head else None,
            metric=query.get("metric", "sink"),
            ranked=query.get("ranked") == "1",
            clipped=query.get("clipped") == "1",
            pin=int(pin[0]) if pin else None,
            rows=ALL_ROWS if query.get("rows") == "all" else int(rows[0]) if rows else None,
            zoom=zoom_of(query.get("zoom", "")),
            **studies_of(query),
            **scatter_of(query),
        )


def studies_of(query: Mapping[str, str]) -> dict[str, object]:
    """Seed, false discovery rate, studies and their settings, as a URL has them."""
    seed = re.fullmatch(r"\d{1,9}", query.get("seed", ""))
    fdr = re.fullmatch(r"0?\.(?!0+$)\d{1,3}", query.get("fdr", ""))
    names = [name for name in query.get("started", "").split(",") if name in STUDIES]
    known = {f"{name}.{s.name}" for name, one in STUDIES.items() for s in settings(one)}
    return {
        "seed": int(seed[0]) if seed else 0,
        "fdr": float(fdr[0]) if fdr else None,
        "rule": query["rule"] if query.get("rule") in RULES else "BH",
        "study": query["study"] if query.get("study") in STUDIES else "",
        "started": tuple(dict.fromkeys(names)),
        "settings": tuple((name, text) for name, text in query.items() if name in known),
    }


def scatter_of(query: Mapping[str, str]) -> dict[str, object]:
    """The scatter of heads and the open card, as a URL has them."""
    card = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", query.get("card", ""))
    return {
        **{name: query.get(name, AXES[name]) for name in AXES},
        "cloud": query.get("cloud") != "0",
        "bars": query.get("bars") == "1",
        "brush": brush_of(query.get("brush", "")),
        "card": (int(card[1]), int(card[2])) if card else None,
    }


def brush_of(text: str) -> Brush | None:
    """Four numbers as a URL has them, or None for what is no rectangle."""
    number = r"(-?(?:\d{1,9}(?:\.\d{0,12})?|\.\d{1,12})(?:e[-+]\d{1,3})?)"
    found = re.fullmatch(",".join([number] * 4), text)
    if not found:
        return None
    left, right, low, high = map(float, found.groups())
    return (left, right, low, high) if left <= right and low <= high else None


def zoom_of(text: str) -> Zoom | None:
    """A window as a URL has it, or None for what is none."""
    found = re.fullmatch(r"(\d{1,7})\.(\d{1,7})\.(\d{1,7})\.(\d{1,7})", text)
    if not found:
        return None
    first_row, end_row, first_key, end_key = map(int, found.groups())
    there = first_row < end_row and first_key < end_key
    return (first_row, end_row, first_key, end_key) if there else None


def read() -> Selection:
    """The selection in this session's URL."""
    return Selection.from_query(st.query_params.to_dict())


def write(selection: Selection) -> None:
    """Put a selection into the URL, as one step of the browser's history."""
    st.query_params.from_dict(selection.to_query())


def change(**fields: object) -> None:
    """Change some fields of the selection; for callbacks. A link that is dead starts afresh."""
    try:
        now = read()
    except prompts.PromptError:
        now = Selection()
    write(replace(now, **fields))
