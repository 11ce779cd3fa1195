"""What a run will take, in words, before it starts; pure, no Streamlit."""

from interp.engine.cost import in_words
from interp.engine.forecast import Forecast

MINUTE, HOUR = 60, 3600


def duration(seconds: float) -> str:
    """Seconds for people, as coarse as an estimate deserves."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 1.5 * MINUTE:
        return f"about {coarse(seconds)} s"
    if seconds < 1.5 * HOUR:
        return f"about {seconds / MINUTE:.0f} min"
    return f"about {seconds / HOUR:.0f} h"


def coarse(seconds: float) -> int:
    """Whole seconds below ten, steps of five above."""
    return round(seconds) if seconds < 10 else 5 * round(seconds / 5)


def line(expected: Forecast) -> str:
    """Tokens, bytes and seconds of a run, and the seconds of its nulls."""
    return (
        f"{expected.tokens:,} tokens · about {in_words(expected.bytes)} · "
        f"{duration(expected.seconds)} on this machine "
        f"(nulls: {duration(expected.controls_seconds)})"
    )


def sample_words(rows: int, tokens: int) -> str:
    """How much of a prompt was read, where it is a sample."""
    return f"{rows:,} of {tokens:,} query rows, sampled"
