"""A chart as PNG, SVG or PDF that says what it is when it stands alone; drawn without a network."""

import textwrap
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import vl_convert

from app import charts, heatmaps
from app.export.inert import inert
from app.export.words import Exhibit, origin, score_words, visible, words
from interp.exhibits import Curve, Heat
from interp.result import Result, Score
from interp.score_grid import score_grid

WIDTH = 640  # pixels of the axes
LINE = 126  # characters of a line of words below the title
SCALE = 2  # PNG pixels a pixel
NOWHERE: list[str] = []  # addresses that a chart may fetch from
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


@dataclass(frozen=True)
class Caption:
    """What stands above a picture."""

    title: str
    lines: tuple[str, ...]  # paragraphs


@dataclass(frozen=True)
class Ink:
    """The colours of axes and words, and of the ground."""

    ground: str | None
    text: str
    faint: str


LIGHT = Ink("white", "#1f2328", "#57606a")
# Of a picture inside a page that knows whether it is dark: the page's own colour of text.
PAGE = Ink(None, "currentColor", "currentColor")


def caption(result: Result, shown: Exhibit | Score) -> Caption:
    """Title, unit, n, interval, null, kind, definition, source, model and digest."""
    said = score_words(shown) if isinstance(shown, Score) else words(shown, "in the data")
    unit = f"Unit: {shown.unit}. " if isinstance(shown, Score | Curve | Heat) else ""
    return Caption(
        shown.title, (f"{unit}{said}", f"{shown.definition} {shown.source}.", f"{origin(result)}.")
    )


def chart_of(shown: Curve | Heat | Score) -> alt.LayerChart:
    """The chart that a page shows of it; a metric of all heads as a map of layers and heads."""
    shown = inert(shown)
    if isinstance(shown, Curve):
        return charts.curve(shown)
    return heatmaps.heat(score_grid(shown) if isinstance(shown, Score) else shown)


def spec_of(chart: alt.TopLevelMixin, said: Caption | None, ink: Ink = LIGHT) -> dict[str, Any]:
    """The chart as Vega-Lite with the caption above it, at a width of its own."""
    spec = untipped(chart.to_dict())
    spec["width"] = WIDTH
    spec["background"] = ink.ground
    spec["config"] = themed(spec.get("config", {}), ink)
    if said is not None:
        lines = [line for paragraph in said.lines for line in wrapped(paragraph)]
        spec["title"] = {
            "text": wrapped(said.title, LINE * 2 // 3),
            "subtitle": lines,
            "anchor": "start",
            "frame": "bounds",
            "offset": 14,
            "fontSize": 15,
            "subtitleFontSize": 11,
            "subtitleLineHeight": 15,
            "subtitlePadding": 6,
        }
    return spec


def untipped(spec: dict[str, Any]) -> dict[str, Any]:
    """A chart without tooltips: no picture shows them, and their titles become programs."""
    kept = {k: v for k, v in spec.get("encoding", {}).items() if k != "tooltip"}
    layers = [untipped(layer) for layer in spec.get("layer", ())]
    return spec | ({"encoding": kept} if kept else {}) | ({"layer": layers} if layers else {})


def wrapped(text: str, width: int = LINE) -> list[str]:
    """Lines of at most so many characters, with nothing in them that acts."""
    return textwrap.wrap(visible(text), width) or [""]


def themed(config: dict[str, Any], ink: Ink) -> dict[str, Any]:
    """A chart's config with the ink's colours."""
    titles = {"labelColor": ink.text, "titleColor": ink.text, "labelFont": FONT, "titleFont": FONT}
    added = {
        "axis": titles
        | {"gridColor": "#86868638", "domainColor": "#868686", "tickColor": "#868686"},
        "legend": titles,
        "title": {
            "color": ink.text,
            "subtitleColor": ink.faint,
            "font": FONT,
            "subtitleFont": FONT,
        },
        "view": {"stroke": "#86868638"},
    }
    return config | {name: more | config.get(name, {}) for name, more in added.items()}


def png(spec: dict[str, Any]) -> bytes:
    """The picture in pixels, twice as many as it measures."""
    return vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=NOWHERE)


def svg(spec: dict[str, Any]) -> str:
    """The picture in lines, with its text as text."""
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=NOWHERE)


def pdf(spec: dict[str, Any]) -> bytes:
    """One page of the picture's size."""
    return vl_convert.vegalite_to_pdf(spec, allowed_base_urls=NOWHERE)


DRAWN = {"png": png, "svg": svg, "pdf": pdf}


def picture(kind: str, result: Result, shown: Curve | Heat | Score) -> bytes | str:
    """An exhibit as a file of that kind: "png", "svg" or "pdf"."""
    return DRAWN[kind](spec_of(chart_of(shown), caption(result, shown)))


def drawn(kind: str, chart: alt.TopLevelMixin, said: Caption) -> bytes | str:
    """A chart of a page's own as a file of that kind."""
    return DRAWN[kind](spec_of(chart, said))


def pictures(result: Result, shown: Curve | Heat | Score) -> dict[str, partial]:
    """What makes each kind of picture, once it is called."""
    return {kind: partial(picture, kind, result, shown) for kind in DRAWN}
