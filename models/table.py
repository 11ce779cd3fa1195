"""The table of variants in models/README.md, written from the registry: `make table`."""

import re
from pathlib import Path

import torch

from models.attention.contract import HeadConfig, Traits
from models.registry import VARIANTS, Variant

README = Path(__file__).with_name("README.md")
START, END = "<!-- variants -->\n", "<!-- end of variants -->\n"
HEAD = """\
| name | variant | year | paper | file | matrix | parameters | MFLOP, T = 1024 | kept, T = 1024 \
| tested against | largest error |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def widths(traits: Traits) -> HeadConfig:
    """The layer that costs are quoted for: E = 256, eight heads of 32, four groups if it can."""
    return HeadConfig(d_model=256, n_heads=8, n_kv_heads=4 if traits.grouped else 8)


def matrix(traits: Traits) -> str:
    """What rows of the matrix are, in words."""
    rows = "rows sum to 1" if traits.row_stochastic else "rows sum to anything"
    if traits.sink_slot:
        rows = "rows below 1, the rest is the sink slot"
    words = [rows, "no negative entry" if traits.nonnegative else "signed"]
    if traits.keys_per_token > 1:
        words.append(f"{traits.keys_per_token} columns per token")
    if not traits.exact:
        words.append("an estimate of softmax")
    if not traits.rotary:
        words.append("positions of its own")
    return "; ".join(words)


def year(variant: Variant) -> str:
    """The year in the paper's citation."""
    return re.search(r"(19|20)\d{2}", variant.paper)[0]


def file(variant: Variant) -> str:
    """Path of the file that defines the variant, from models/."""
    return variant.mixer.__module__.removeprefix("models.").replace(".", "/") + ".py"


def row(name: str, variant: Variant) -> str:
    """One line of the table."""
    with torch.device("meta"):
        cost = variant.mixer(widths(variant.traits)).cost
    cells = (
        f"`{name}`",
        variant.title,
        year(variant),
        variant.paper,
        f"`{file(variant)}`",
        matrix(variant.traits),
        f"{cost.parameters:,}",
        f"{cost.flops(1024) / 1e6:,.0f}",
        f"{cost.cache(1024):,}",
        variant.reference,
        f"{variant.error:.0e}",
    )
    return "| " + " | ".join(cells) + " |\n"


def table() -> str:
    """The whole table."""
    return HEAD + "".join(row(name, variant) for name, variant in VARIANTS.items())


def main() -> None:
    """Write it into the README."""
    before, rest = README.read_text().split(START)
    README.write_text(before + START + table() + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
