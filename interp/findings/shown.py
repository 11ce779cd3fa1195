"""Findings as a Result, for pages and terminals, and as the text of FINDINGS.md."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from interp.exhibits import Column, Table
from interp.findings.claims import RECALLS, TWIN, Comparison
from interp.findings.judge import OPPOSITE, Finding, Judged
from interp.findings.numbers import Number
from interp.printing import interval, number
from interp.result import Result
from interp.studies.lines import result
from interp.subject import Card
from interp.summary_numbers import HEADS, WHOLES
from models.recipe import MEMBERS

TITLES = {one.key: one.title for one in (*HEADS, *WHOLES)} | {
    key: f"Recall, width {width}, {pairs} pairs" for key, (width, pairs) in RECALLS.items()
}
RULE = (
    "A comparison counts where the 95 % intervals separate for every pair of seeds; intervals are "
    "over passages or sequences of one trained model, so that models with one seed say nothing of "
    "other seeds. Every number stands beside its random-init twin's."
)


def answer(findings: Sequence[Finding]) -> str:
    """How many findings came out how."""
    count = Counter(finding.verdict for finding in findings)
    said = ", ".join(f"{n} {verdict}" for verdict, n in count.most_common())
    return f"Of {len(findings)} published findings, on our small models: {said}."


def as_result(findings: Sequence[Finding], card: Card, request: dict) -> Result:
    """One table a finding; `card` is of the model that most comparisons are made with."""
    return result(
        "findings",
        card,
        request,
        answer=answer(findings),
        tables=tuple(table(finding) for finding in findings),
        notes=(RULE,),
    )


def numbers_of(finding: Finding) -> list[Number]:
    """Every number of a finding once, in the order of its comparisons."""
    found: dict[tuple, Number] = {}
    for one in finding.judged:
        sides = one.one if one.comparison.other == TWIN else (*one.one, *one.other)
        for each in sides:
            found.setdefault((each.metric, each.member, each.seed), each)
    return list(found.values())


def table(finding: Finding) -> Table:
    """A finding's numbers, model by model and seed by seed."""
    rows, claim = numbers_of(finding), finding.claim

    def column(title: str, read: str) -> Column:
        values = np.array([getattr(row, read) for row in rows], dtype=np.float64)
        return Column(title=title, values=values, unit="as the row says", provenance="measured")

    words = {
        "Number": [TITLES[row.metric] for row in rows],
        "Unit": [row.unit for row in rows],
        "Model": [titled(row.member) for row in rows],
        "Seed": [str(row.seed) for row in rows],
        "n": [f"{row.n} {row.n_of}" for row in rows],
    }
    return Table(
        key=claim.key,
        title=f"{claim.says} {finding.verdict.capitalize()}",
        columns=(
            *(Column(title=title, values=tuple(values)) for title, values in words.items()),
            column("value", "value"), column("from", "low"), column("to", "high"),
            column("twin", "null"), column("twin from", "null_low"), column("twin to", "null_high"),
        ),
        definition=f"{' '.join(sentence(one) for one in finding.judged)} Published: "
        f"{claim.published}. {claim.about}".strip(),
        source=claim.source,
        n=len(rows),
        n_of="trained models' numbers",
        null="the columns named twin: the same model with random weights; from and to are the ends "
        "of 95 % intervals",
    )  # fmt: skip


def titled(member: str) -> str:
    """A member's title."""
    return MEMBERS[member].title if member in MEMBERS else member


def sentence(one: Judged) -> str:
    """A comparison in words, with its numbers."""
    return f"{asked(one.comparison)} {span(one.one)} against {span(one.other)}: {one.verdict}."


def emphasised(one: Judged) -> str:
    """A comparison in words; where ours disagrees it stands out."""
    return f"**{sentence(one)}**" if one.verdict == OPPOSITE else sentence(one)


def asked(one: Comparison) -> str:
    """What was compared."""
    other = "its random-init twin" if one.other == TWIN else titled(one.other)
    return f"{TITLES[one.metric]}, {titled(one.one)} {one.relation} {other}:"


def span(numbers: tuple[Number, ...]) -> str:
    """Values by seed with their intervals."""
    return "; ".join(f"{number(x.value)} [{interval(x.low, x.high)}]" for x in numbers)


def as_text(findings: Sequence[Finding], made_with: str) -> str:
    """FINDINGS.md."""
    lines = [
        "# Findings: what others published, held against our own models",
        "",
        "Written by `python -m interp findings`; not by hand. Models: two layers of width 64 with "
        "four heads (one layer where it says so), one data stream, one budget; recall: two layers "
        "of width 32 with one head.",
        "",
        f"**{answer(findings)}** {RULE} Made with {made_with}.",
    ]
    for finding in findings:
        claim = finding.claim
        lines += ["", f"## {claim.says} **{finding.verdict.capitalize()}.**", ""]
        lines += [f"Published ({claim.source}): {claim.published}. {claim.about}".rstrip(), ""]
        lines += [
            "| number | model | seed | ours [95 % interval] | n | random-init twin |",
            "|---|---|---|---|---|---|",
            *(row(x) for x in numbers_of(finding)),
            "",
            *(f"- {emphasised(one)}" for one in finding.judged),
        ]
    return "\n".join(lines) + "\n"


def row(x: Number) -> str:
    """A line of a table of FINDINGS.md."""
    cells = (
        f"{TITLES[x.metric]} ({x.unit})", titled(x.member), x.seed,
        f"{number(x.value)} [{interval(x.low, x.high)}]", f"{x.n} {x.n_of}",
        f"{number(x.null)} [{interval(x.null_low, x.null_high)}]",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"
