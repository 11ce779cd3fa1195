"""models/zoo/README.md: what the shipped models are and how they do, written from their cards."""

from models import shelf
from models.roster import shipped_cards

README = shelf.SHIPPED / "README.md"
HEAD = """\
# The zoo

One small Transformer, once for each way to attend: two layers of width 64 with four heads (one
layer where it says so), the same tokens in the same order, the same steps; only the mixer differs,
and the MLP makes up for what it has more or less. `card.json` in each folder holds recipe, seeds,
the hashes of data and files, the losses along training and how long it took; a file that is not the
card's is not loaded. Written by `make table`.

| name | attention | parameters | held-out books, nats per byte [95 %] | \
second copy of random tokens, nats per token [95 %] | other seeds: books, second copy | \
snapshots | minutes |
|---|---|---|---|---|---|---|---|
"""
NOTES = """
Intervals are over {rows:,} held-out rows of authors that no model has read, and over {copies}
random sequences; ln 50 = 3.91 is what guessing among the tokens of the first copy costs. Minutes
are of one core of a busy machine. `recall/` and `planted-*` are small models of the recall task and
of planted facts; [FINDINGS.md](FINDINGS.md) holds what others published against these models.
"""


def loss(card: dict, name: str) -> str:
    """A loss with its interval."""
    found = card["losses"][name]
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def row(card: dict, others: list[dict]) -> str:
    """A line: the first seed, and the other seeds' losses."""
    more = "; ".join(
        " and ".join(f"{one['losses'][name]['value']:.3f}" for name in ("held_out", "second_copy"))
        for one in others
    )
    cells = (
        f"`zoo-{card['name']}`",
        card["title"],
        f"{card['parameters']:,}",
        loss(card, "held_out"),
        loss(card, "second_copy"),
        more or "one seed",
        len(card["snapshots"]) + 1 if card["snapshots"] else "none",
        f"{card['seconds'] / 60:.0f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def text() -> str:
    """The whole file; the lowest loss on held-out books first."""
    cards = shipped_cards()
    firsts = [card for card in cards if not card["seed"]]
    firsts.sort(key=lambda card: card["losses"]["held_out"]["value"])
    seeds = {card["member"]: [c for c in cards if c["seed"] and c["member"] == card["member"]]
             for card in firsts}  # fmt: skip
    first = firsts[0]
    notes = NOTES.format(
        rows=first["losses"]["held_out"]["n"], copies=first["losses"]["second_copy"]["n"]
    )
    rows = [row(card, sorted(seeds[card["member"]], key=lambda c: c["seed"])) for card in firsts]
    return HEAD + "\n".join(rows) + "\n" + notes


if __name__ == "__main__":
    README.write_text(text(), encoding="utf-8")
