"""Duplicate-token heads: attention from a token to its earlier occurrence."""

from functools import partial

from interp.measurements.repeats import RepeatsControls, RepeatsReading
from interp.probes.stripes import result, stripe_score, uniform_stripe, with_signed
from interp.result import Result
from interp.subject import Card


def score_duplicate_token(
    reading: RepeatsReading, controls: RepeatsControls | None, card: Card
) -> Result:
    """Mean weight on the stripe N back, where the same token stood before."""
    n = reading.request.length
    build = partial(
        stripe_score,
        reading,
        controls,
        card,
        stripe="duplicate",
        title="Duplicate-token score",
        definition=f"Mean attention from token i of the second copy to the same token, {n} back.",
        source="Wang et al. 2022, arXiv 2211.00593; TransformerLens head_detector",
        uniform=uniform_stripe(n, 2 * n),
        fresh_expectation="gone: nothing repeats, so nothing stands there to be found",
        fresh_is_null=True,
    )
    return result("duplicate-token", reading, card, with_signed(build, card, "duplicate"))
