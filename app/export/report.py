"""A dashboard as one HTML file that opens without a network: pictures, numbers, words, data."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.export.dashboard import END, START, pack
from app.export.digests import SHOWN, digests
from app.export.html_tables import figures_table, score_table, table
from app.export.markdown import rendered, shown
from app.export.parts import Part, parts
from app.export.pictures import PAGE, chart_of, spec_of, svg
from app.export.words import figure_words, origin, score_words, words
from interp.exhibits import Curve, Heat, Table
from interp.result import Result, Score
from interp.store.blocks import Block, Markdown, Panel
from interp.store.snapshots import bare

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
# Inside a picture: the colour of its words, on light and on dark ground.
INK = "<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"


def report(title: str, blocks: Sequence[Block], results: Mapping[str, Result]) -> bytes:
    """The page, in UTF-8. Nothing in it runs; the data stands in it and `open_file` reads it back.

    `results` are those that panels name. Raises KeyError for a panel that names another.
    """
    lead = (
        '<p class="note">Written by Headlamp. Every number is also in this file as data: drop it '
        "on Headlamp's dashboards to open it again.</p>"
    )
    return document(title, lead + body(blocks, results), tail=data(title, blocks, results))


def body(
    blocks: Sequence[Block], results: Mapping[str, Result], said: Mapping[str, str] | None = None
) -> str:
    """HTML of all blocks; `said` are sentences to stand with Results, by their names."""
    return "\n".join(block_html(block, results, said or {}) for block in blocks)


def data(title: str, blocks: Sequence[Block], results: Mapping[str, Result]) -> str:
    """All of it as JSON inside a page, where nothing reads it but `open_file`."""
    packed = pack(title, blocks, results).decode("ascii")
    for character in "<>&":
        packed = packed.replace(character, f"\\u{ord(character):04x}")
    return f"{START}{packed}{END}"


def digest(text: str) -> str:
    """A style sheet's or a script's hash, as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str) -> str:
    """What a browser lets a page of ours do: show its one style sheet and its own pictures."""
    return (
        f"default-src 'none'; style-src {digest(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def document(
    title: str, inside: str, style: str = STYLE, *, may: str = "", head: str = "", tail: str = ""
) -> bytes:
    """A whole page around HTML of ours; `may` is what else it lets a browser do."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(style)}{may}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{head}<title>{shown(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{shown(title)}</h1>
{inside}
</main>
{tail}
</body>
</html>
""".encode("utf-8", "backslashreplace")


def block_html(block: Block, results: Mapping[str, Result], said: Mapping[str, str]) -> str:
    """A text, or a panel with all its Results and what is said of each."""
    if isinstance(block, Markdown):
        return f'<section class="text">\n{rendered(block.text)}</section>'
    found = "\n".join(
        result_html(block, results[name], said.get(name, "")) for name in block.results
    )
    heading = f"<h2>{shown(block.title)}</h2>" if block.title else ""
    return f'<section class="panel">\n{heading}\n{found}\n</section>'


def result_html(panel: Panel, result: Result, said: str = "") -> str:
    """What the panel shows of a Result, then where it comes from, and what is said of it."""
    try:
        wanted = parts(result, panel.kind)
    except KeyError as problem:
        return f'<p class="note">{shown(str(problem.args[0]))}</p>'
    answer = f'<p class="answer">{shown(result.answer)}</p>' if result.answer else ""
    notes = "".join(f'<p class="note">{shown(note)}</p>' for note in result.notes)
    figures = "\n".join(part_html(part) for part in wanted)
    found = digests(result)
    source = (
        f"Model {origin_words(result)}. Request digest {found.request[:SHOWN]}, result digest "
        f"{found.result[:SHOWN]}. {said}".strip()
    )
    return f'{answer}\n{figures}\n{notes}\n<p class="origin">{shown(source)}</p>'


def origin_words(result: Result) -> str:
    """Model, digest, device and probe; of a model in a folder the folder's name alone."""
    return origin(result).replace(result.model, bare(result.model), 1)


def part_html(part: Part) -> str:
    """An exhibit with its picture or table, n, interval, null, kind, unit and definition."""
    if isinstance(part, tuple):
        said = " ".join(f"{one.title}: {figure_words(one)}" for one in part)
        defined = " ".join(f"{one.title}: {one.definition}" for one in part)
        return figure_html("Model-wide numbers", figures_table(part), said, defined)
    if isinstance(part, Table):
        return figure_html(
            part.title, table(part), words(part), f"{part.definition} {part.source}."
        )
    said = score_words(part) if isinstance(part, Score) else words(part, "in the data")
    more = score_table(part) if isinstance(part, Score) else ""
    return figure_html(
        part.title,
        picture_html(part) + more,
        f"Unit: {part.unit}. {said}",
        f"{part.definition} {part.source}.",
    )


def figure_html(title: str, inside: str, said: str, defined: str) -> str:
    """One figure."""
    return (
        f"<figure>\n<figcaption><h3>{shown(title)}</h3></figcaption>\n{inside}\n"
        f'<p class="words">{shown(said)}</p>\n'
        f'<p class="definition">{shown(defined)}</p>\n</figure>'
    )


def picture_html(part: Score | Curve | Heat) -> str:
    """The chart as an image: a picture in lines, in which no browser runs or fetches anything."""
    drawn = svg(spec_of(chart_of(part), None, PAGE))
    start = drawn.index(">", drawn.index("<svg")) + 1
    data = base64.b64encode(f"{drawn[:start]}{INK}{drawn[start:]}".encode()).decode()
    return f'<img alt="{shown(part.title)}" src="data:image/svg+xml;base64,{data}">'
