"""Previous-token heads: attention from each token to the one before it."""

from functools import partial

from interp.measurements.repeats import RepeatsControls, RepeatsReading
from interp.probes.stripes import result, stripe_score, uniform_stripe, with_signed
from interp.result import Result
from interp.subject import Card


def score_previous_token(
    reading: RepeatsReading, controls: RepeatsControls | None, card: Card
) -> Result:
    """Mean weight on the diagonal below the main one, on repeated random tokens."""
    build = partial(
        stripe_score,
        reading,
        controls,
        card,
        stripe="previous",
        title="Previous-token score",
        definition="Mean attention from token i to token i - 1, over all i from 1 on.",
        source="Olsson et al. 2022, In-context Learning and Induction Heads",
        uniform=uniform_stripe(1, 2 * reading.request.length),
        fresh_expectation="the same: these heads look at a place, whatever stands there",
        fresh_is_null=False,
    )
    return result("previous-token", reading, card, with_signed(build, card, "previous"))
