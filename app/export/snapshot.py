"""A snapshot as the page that a link shows, and as a file to keep; the page that refuses."""

from datetime import datetime
from pathlib import Path

from app.export.markdown import shown
from app.export.report import STYLE, body, data, digest, document
from interp.store.snapshots import Snapshot

SHARED = STYLE + (Path(__file__).parent / "snapshot.css").read_text(encoding="utf-8")
AGAIN = 30  # s after which an open page asks whether the link still holds
FILE, HOLDS = "file", "holds"  # queries of the address: the page to keep; does the link hold?
SCRIPT = (
    (Path(__file__).parent / "snapshot.js")
    .read_text(encoding="utf-8")
    .replace("AGAIN", f"{AGAIN}_000")
)
# The one script there is, and whom it may ask. Without scripts the whole page is asked for anew.
MAY = f"; script-src {digest(SCRIPT)}; connect-src 'self'"
WITHOUT = f'<noscript><meta http-equiv="refresh" content="{AGAIN}"></noscript>\n'
VERDICTS = {"verified": "✓ Verified", "differs": "≠ Differs", "not checked": "– Not checked"}


def page(snapshot: Snapshot) -> bytes:
    """What a link shows: it asks every AGAIN seconds whether it still may."""
    lead = f"{facts(snapshot)}\n{offer()}"
    return document(
        snapshot.title,
        lead + blocks(snapshot),
        SHARED,
        may=MAY,
        head=WITHOUT,
        tail=f"<script>{SCRIPT}</script>",
    )


def file(snapshot: Snapshot) -> bytes:
    """The same to keep: it opens with the network off, says nothing of the link, holds the data."""
    told = data(snapshot.title, snapshot.blocks, snapshot.results)
    return document(
        snapshot.title, facts(snapshot, of_link=False) + blocks(snapshot), SHARED, tail=told
    )


def notice(sentence: str) -> bytes:
    """A page with nothing but a sentence."""
    return document("Headlamp", f"<p>{shown(sentence)}</p>", SHARED)


def blocks(snapshot: Snapshot) -> str:
    """Texts and panels, each Result with its verdict."""
    said = {name: f"{one.state.capitalize()}: {one.sentence}"
            for name, one in snapshot.verdicts.items()}  # fmt: skip
    return body(snapshot.blocks, snapshot.results, said)


def facts(snapshot: Snapshot, of_link: bool = True) -> str:
    """What this is: which version, of when, until when, and whether its numbers stand."""
    verdict, ends = snapshot.verdict, ""
    if of_link:
        ends = (
            f" The link ends on {when(snapshot.expires_at)}."
            if snapshot.expires_at
            else " The link has no end; it holds until it is withdrawn."
        )
    words = (
        f"A snapshot of version {snapshot.number}, saved on {when(snapshot.saved_at)}, made on "
        f"{when(snapshot.made_at)}. It shows what was there then and does not change.{ends}"
    )
    kind = verdict.state.replace(" ", "-")
    return (
        f'<div class="snapshot"><p>{shown(words)}</p>\n<p><strong class="{kind}">'
        f"{VERDICTS[verdict.state]}.</strong> {shown(verdict.sentence)}</p></div>"
    )


def offer() -> str:
    """A link to the file. Relative, so that the token stands nowhere in the page."""
    return (
        f'<p class="note"><a href="?{FILE}" download>Keep this page as a file</a>: it opens with '
        "the network off and holds every number; drop it on Headlamp's dashboards to open it "
        f"there. This page asks every {AGAIN} seconds whether its link still holds.</p>"
    )


def when(moment: datetime | str) -> str:
    """A time for people everywhere."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{at:%-d %b %Y, %H:%M} UTC"
