"""Attention variants side by side: untrained layers on one random input, matrices and costs."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.engine.job import Work
from interp.nulls import mean_interval
from interp.probes.concentration import FIRST_ROW
from interp.progress import Progress
from interp.result import Figure, Result, Score
from interp.stats.head_stats import HeadStats
from interp.stats.naive import of_matrix
from interp.stats.wanted import Wanted
from interp.subject import Refused, by_token
from interp.variant_figures import effective, miss, over_heads, proof, spread
from models.attention.contract import Estimator, Mixer, Projected, causal_mask
from models.device import device_words
from models.digest import weights_digest
from models.positions import rotate
from models.registry import VARIANTS, variant
from models.table import widths

MOST = 6  # variants at once
LENGTHS = (2 * FIRST_ROW, 128)  # shortest and longest input: means skip the first rows
DRAWS = 12  # independent inputs and weights behind every number
COST_LENGTHS = tuple(2**k for k in range(6, 18))  # tokens that costs are given for
BASE = 10000.0  # of rotary positions


@dataclass(frozen=True, kw_only=True)
class VariantsRequest:
    """Which variants, and the seed of weights and input; raises Refused for what cannot be."""

    names: tuple[str, ...]
    seed: int = 0
    length: int = 48

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in VARIANTS]
        if unknown:
            raise Refused(f"There is no attention variant {unknown[0]!r}; choose from the list.")
        if not 1 <= len(self.names) <= MOST:
            raise Refused(f"Choose 1 to {MOST} variants; {len(self.names)} are chosen.")
        if not LENGTHS[0] <= self.length <= LENGTHS[1]:
            raise Refused(
                f"The input is {LENGTHS[0]} to {LENGTHS[1]} tokens long; got {self.length}."
            )
        if not 0 <= self.seed < 2**31:
            raise Refused(f"A seed is a number from 0 to {2**31 - 1}; got {self.seed}.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Costs:
    """Formulas of the variant at the widths of models/README.md; each is checked by counting."""

    parameters: int
    lengths: tuple[int, ...]  # tokens
    flops: tuple[int, ...]  # of one layer's forward pass over so many tokens
    cache: tuple[int, ...]  # numbers kept after so many tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """One variant: numbers over all draws, and the matrix and its rows of the chosen seed."""

    name: str
    title: str
    reference: str
    error: float  # largest relative difference to the reference, from the tests
    columns: int  # keys per token, added up in `pattern`
    nonnegative: bool
    result: Result
    pattern: Float[np.ndarray, "H T T"]
    row_sum: Float[np.ndarray, "H T"]
    spread: Float[np.ndarray, "H T"]  # S(a)
    effective: Float[np.ndarray, "H T"]  # keys, n·S²
    costs: Costs


def compare(request: VariantsRequest, progress: Progress) -> tuple[Report, ...]:
    """Every chosen variant on the same input."""
    reports = []
    for i, name in enumerate(request.names):
        progress.step(i, len(request.names), f"building the matrices of {variant(name).title}")
        reports.append(report(name, request))
    return tuple(reports)


def work(request: VariantsRequest) -> Work:
    """The same for the engine."""
    return Work(
        f"variants {json.dumps(asdict(request))}",
        "Comparing variants",
        lambda engine, progress: compare(request, progress),
        # A matrix of float64 per head and a handful of copies.
        64 * 8 * request.length**2,
        urgent=True,
    )


def layer(name: str, seed: int, length: int) -> tuple[Mixer, Projected, Tensor]:
    """An untrained layer of the variant, its projections of a random input, and that input.

    The input of a seed is the same for every variant.
    """
    made = variant(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.randn(1, length, widths(made.traits).d_model, dtype=torch.float64)
        mixer = made.mixer(widths(made.traits)).double()
    where = torch.arange(length)
    turn = (lambda x, at: rotate(x, at, BASE)) if made.traits.rotary else (lambda x, at: x)
    return mixer, mixer.place(mixer.project(x), where, turn), x


@torch.no_grad()
def report(name: str, request: VariantsRequest) -> Report:
    """One variant: the chosen seed in full, and the means of all draws."""
    made = variant(name)
    found, errors, misses = [], [], []
    for draw in range(DRAWS):
        mixer, p, _ = layer(name, request.seed + draw, request.length)
        pattern, mix = mixer.pattern(p), mixer.mix(p)
        errors.append(float((pattern @ mixer.values(p) - mix).abs().max() / mix.abs().max()))
        found.append(by_token(pattern))
        if isinstance(mixer, Estimator):
            misses.append(mixer.relative_error(p).mean())
    tokens = torch.arange(request.length)
    seen = causal_mask(request.length, request.length, tokens.device)[None, None]
    stats = [of_matrix(a, Wanted(square=True), tokens, tokens, seen) for a in found]
    first, costs = stats[0], mixer.cost
    figures = (proof(max(errors), DRAWS, request.length), *miss(misses, request.seed))
    return Report(
        name=name,
        title=made.title,
        reference=made.reference,
        error=made.error,
        columns=made.traits.keys_per_token,
        nonnegative=made.traits.nonnegative,
        result=result(name, request, stats, figures),
        pattern=array(found[0][0]),
        row_sum=array(first.row_sum[0]),
        spread=array(spread(first)[0]),
        effective=array(effective(first)[0]),
        costs=Costs(
            parameters=costs.parameters,
            lengths=COST_LENGTHS,
            flops=tuple(costs.flops(t) for t in COST_LENGTHS),
            cache=tuple(costs.cache(t) for t in COST_LENGTHS),
        ),
    )


def array(x: Tensor) -> np.ndarray:
    """A float64 array that nobody can write to."""
    found = x.numpy().copy()
    found.flags.writeable = False
    return found


def result(
    name: str, request: VariantsRequest, stats: list[HeadStats], figures: tuple[Figure, ...]
) -> Result:
    """Row sum, S and n_eff of every head over all draws; the proof, and what an estimate misses."""
    visible = np.arange(FIRST_ROW, request.length) + 1.0
    signed, exact = not variant(name).traits.nonnegative, variant(name).traits.exact
    absolute = " of |a|, because entries are signed" if signed else ""
    what = (
        ("row_sum", "Row sum", "weight", lambda s: s.row_sum, "Σ_j a_ij.", 1.0),
        (
            "spread", "S(a)", "ratio", spread,
            f"E|a| / √E[a²] over the keys a row can see{absolute}; 1 is uniform, smaller is more "
            "concentrated.", 1.0,
        ),
        (
            "effective", "Effective keys", "keys", effective, f"n·S²{absolute}.",
            float(visible.mean()),
        ),
    )  # fmt: skip
    scores = tuple(score(key, title, unit, of, words, uniform, request, stats, exact)
                   for key, title, unit, of, words, uniform in what)  # fmt: skip
    # The variants beside it change none of its numbers.
    names = json.dumps([name, request.seed, request.length])
    mixer, _, _ = layer(name, request.seed, request.length)
    return Result(
        probe="variants",
        model=name,
        digest=hashlib.sha256((names + weights_digest(mixer)).encode()).hexdigest()[:16],
        device=device_words(),
        request={"seed": request.seed, "length": request.length, "draws": DRAWS},
        scores=scores,
        figures=(figures[0], over_heads(stats, exact, request.seed), *figures[1:]),
        notes=(
            "Untrained weights on random input: what a head of this variant does by construction, "
            "and so a null for trained ones.",
        ),
    )


def score(
    key: str,
    title: str,
    unit: str,
    of: object,
    words: str,
    uniform: float,
    request: VariantsRequest,
    stats: list[HeadStats],
    exact: bool,
) -> Score:
    """One number per head: the mean over rows of each draw, its interval over draws."""
    rows = np.stack([of(s)[0].numpy() for s in stats], -1)[:, FIRST_ROW:]
    with np.errstate(invalid="ignore"):
        samples = np.nanmean(rows, 1)[None]
    value, low, high, n = mean_interval(samples, 1, request.seed)
    kind = "measured" if key == "row_sum" else "derived"
    return Score(
        key=key,
        title=title,
        unit=unit,
        low_end=0.0,
        high_end=None,
        provenance=kind if exact else "estimator",
        definition=f"{words} Mean over rows from {FIRST_ROW} on.",
        source="Su 2023, kexue.fm/archives/9889" if key != "row_sum" else "models/README.md",
        value=value,
        low=low,
        high=high,
        n=n,
        n_of="draws of weights and input (bootstrap over draws)",
        uniform=uniform,
        controls=(),
    )
