"""What a run will take, in words; worked out by hand."""

import pytest

from app import preflight
from interp.engine.forecast import Forecast


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "under 1 s"),
        (0.99, "under 1 s"),
        (1.0, "about 1 s"),
        (9.4, "about 9 s"),
        (38.0, "about 40 s"),
        (89.0, "about 90 s"),
        (91.0, "about 2 min"),
        (185.0, "about 3 min"),
        (7000.0, "about 2 h"),
    ],
)
def test_an_estimate_is_said_no_finer_than_it_is(seconds, words):
    assert preflight.duration(seconds) == words


def test_the_line_says_tokens_bytes_seconds_and_nulls():
    expected = Forecast(4096, 4096, 310 * 2**20, 38.0, 185.0)
    assert preflight.line(expected) == (
        "4,096 tokens · about 310 MiB · about 40 s on this machine (nulls: about 3 min)"
    )


def test_a_sample_names_its_share():
    assert preflight.sample_words(512, 8192) == "512 of 8,192 query rows, sampled"
