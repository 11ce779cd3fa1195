"""What every backend of statistics must hold to, as functions that take the backend.

A logit s is known in float32 to 6e-8 |s| and no better, and so is the weight that is its
exponential. The bound is therefore 2e-6 for logits, and logarithms of weights, up to 10, and grows
in proportion beyond; it is relative to the number itself, however small it is, but for
    Σ w ln w    where ln w of a weight near 1 is nearly 0: relative to the mass at least,
    distance    a mean of token counts: relative to one token at least,
    lse         relative to one nat at least.
"""

import math
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.naive import naive, widened
from interp.stats.row_state import Spread
from interp.stats.wanted import Wanted
from models.attention.contract import repeat_groups
from models.forms import Dots
from tests.interp.stats.cases import CASES, Case, everything

Backend = Callable[[Dots, Wanted, Tensor | None], HeadStats]

TOLERANCE = 2e-6
ALWAYS = {"visible", "row_sum", "every.mass", "every.peak", "lse"}
FIELDS = {  # what Wanted asks for: where HeadStats and its spreads have it
    "apart": {"rest.mass", "rest.peak"},
    "entropy": {"every.log"},
    "square": {"every.square"},
    "distance": {"distance"},
    "argmax": {"argmax"},
    "top": {"top_keys", "top_weights"},
    "columns": {"columns"},
    "offsets": {"offsets"},
    "targets": {"targets"},
    "lags": {"lags"},
    "received": {"received"},
    "block": {"block_sum", "block_peak"},
    "valued": {"valued"},
}  # fmt: skip
KEYS = {"visible", "argmax", "top_keys"}  # whole numbers; the last two are checked by weight
TINY = 1e-30  # what float32 holds no longer


def equals_truth(backend: Backend, case: Case, without: set[str]) -> None:
    """Every field is that of the dense float64 matrix."""
    dots, norms = case.build()
    wanted = everything(dots, case.apart, case.block, without)
    same(backend(dots, wanted, norms), naive(dots, wanted, norms), bound(dots))
    if not without & {"argmax", "top"}:
        names_the_largest(backend(dots, wanted, norms), dots, bound(dots))


def same(found: HeadStats, truth: HeadStats, tolerance: float) -> None:
    """The same fields are there, equal within the bound."""
    found, truth = flat(found), flat(truth)
    assert found.keys() == truth.keys()
    floors = {"lse": torch.ones(()), "distance": truth["row_sum"].double()}
    for part in ("every", "rest"):
        floors[f"{part}.log"] = truth.get(f"{part}.mass")
    for name in set(truth) - KEYS:
        close(found[name], truth[name], tolerance, name, floors.get(name))
    assert torch.equal(*torch.broadcast_tensors(found["visible"], truth["visible"]))


def close(
    found: Tensor, truth: Tensor, tolerance: float, name: str, floor: Tensor | None = None
) -> None:
    """Relative to the truth, or the floor where that is larger; infinities must be the same."""
    assert found.shape == truth.shape, f"{name}: {tuple(found.shape)} for {tuple(truth.shape)}"
    assert found.dtype in (torch.float32, torch.float64), f"{name} is {found.dtype}"
    found, truth = found.double(), truth.double()
    unit = truth.abs().clamp_min(TINY)
    unit = unit if floor is None else torch.maximum(unit, floor.double())
    worst = torch.where(found == truth, 0, (found - truth).abs() / unit).max().item()
    assert worst <= tolerance, f"{name} is off by {worst:.1e}, allowed are {tolerance:.1e}"


def bound(dots: Dots) -> float:
    """The relative error that float32 allows for logits of this size."""
    z = widened(dots).logits()
    away = z - z.logsumexp(-1, keepdim=True)
    reach = torch.cat([z.abs().flatten(), away.abs().flatten(), torch.ones(1)])
    return TOLERANCE * max(1.0, reach[reach.isfinite()].max().item() / 8)


def names_the_largest(found: HeadStats, dots: Dots, tolerance: float) -> None:
    """Keys are named in order of weight; which of two equals comes first is free."""
    a, top = widened(dots).weights(), found.top_keys
    place = torch.arange(top.shape[-1])
    assert (top[(place >= found.visible[:, None, :, None]).expand(top.shape)] == -1).all()
    assert (top[(place < (a > TINY).sum(-1, keepdim=True)).expand(top.shape)] >= 0).all()
    assert torch.equal(found.argmax == -1, found.every.mass == 0)
    close(found.top_weights, at_tokens(a, dots, top), tolerance, "weight at the top keys")
    largest = at_tokens(a, dots, found.argmax[..., None])[..., 0]
    close(largest, a.amax(-1), tolerance, "weight at argmax")
    for one in top.reshape(-1, top.shape[-1]).tolist():
        named = [token for token in one if token >= 0]
        assert len(set(named)) == len(named), f"a key is named twice: {one}"


def at_tokens(a: Tensor, dots: Dots, tokens: Tensor) -> Tensor:
    """Weights of named tokens, [B, H, T, K]; 0 for -1."""
    return ((tokens[..., None] == dots.keys) * a[..., None, :]).sum(-1)


def flat(stats: HeadStats) -> dict[str, Tensor]:
    """Every field that is there, those of the spreads as "every.mass" and so on."""
    found = {}
    for field in fields(stats):
        value = getattr(stats, field.name)
        parts = {field.name: value}
        if isinstance(value, Spread):
            parts = {f"{field.name}.{x.name}": getattr(value, x.name) for x in fields(value)}
        found |= {name: x for name, x in parts.items() if x is not None}
    return found


def only_what_is_wanted(backend: Backend, without: set[str]) -> None:
    """One statistic at a time: its fields are there and no others."""
    dots, norms = CASES["17 tokens"].build()
    assert set(FIELDS) == {f.name for f in fields(Wanted)}
    full = everything(dots)
    for name in {"nothing"} | set(FIELDS) - set(without):
        wanted = Wanted(**({name: getattr(full, name)} if name in FIELDS else {}))
        found = set(flat(backend(dots, wanted, norms)))
        assert found == ALWAYS | FIELDS.get(name, set()), name


def refuses(backend: Backend, case: Case, option: str) -> None:
    """One sentence that names what the backend cannot do, and no numbers."""
    dots, _ = case.build()
    with pytest.raises(ValueError, match=option) as caught:
        backend(dots, Wanted(), None)
    assert "\n" not in str(caught.value)


def refuses_statistic(backend: Backend, name: str) -> None:
    """The same for a statistic."""
    dots, norms = CASES["17 tokens"].build()
    wanted = replace(Wanted(), **{name: getattr(everything(dots), name)})
    with pytest.raises(ValueError, match=name) as caught:
        backend(dots, wanted, norms)
    assert "\n" not in str(caught.value)


def masked_rows_are_empty(backend: Backend, without: set[str]) -> None:
    """Rows of padding have no weight anywhere: not a uniform row, and no entropy of one."""
    dots, norms = CASES["padding"].build()
    found = backend(dots, everything(dots, without=without), norms)
    empty = dots.rows < dots.start[:, None]
    assert torch.equal(found.visible.expand(empty.shape) == 0, empty)
    empty = empty[:, None].expand(found.row_sum.shape)
    for name, x in flat(found).items():
        if name == "lse":
            assert (x[empty] == -torch.inf).all() and x[~empty].isfinite().all()
        elif name not in ("visible", "lags", "received", "block_sum", "block_peak"):
            nothing = -1 if name in KEYS else 0
            assert (x[empty] == nothing).all(), name
            assert not x.isnan().any(), name
    assert torch.equal(found.every.entropy.isnan(), empty)
    assert torch.equal(found.every.participation.isnan(), empty)
    for total in (found.received, found.lags, found.block_sum.flatten(2)):
        close(total.sum(-1)[:3], found.row_sum.sum(-1)[:3], TOLERANCE, "sum over all rows")
        assert (total[3] == 0).all()
    means = found.per_head()
    assert all(x[3].isnan().all() and x[:3].isfinite().all() for x in means.values()), means


def groups_share_keys(backend: Backend, without: set[str]) -> None:
    """Grouped heads give what each of them gives with its own copy of the keys."""
    case = CASES["130 tokens, grouped"]
    dots, norms = case.build()
    copies = replace(dots, k=repeat_groups(dots.k, case.heads))
    wanted = everything(dots, case.apart, case.block, without)
    same(backend(dots, wanted, norms), backend(copies, wanted, norms), TOLERANCE)


def keys_in_any_order(backend: Backend, without: set[str]) -> None:
    """A query that sees all keys does not mind in which order they stand."""
    dots, norms = CASES["one query"].build()
    order = torch.randperm(dots.k.shape[2])
    wanted = Wanted(entropy=True, square=True, received=True, valued=True)
    found = backend(dots, wanted, norms)
    shuffled = backend(replace(dots, k=dots.k[:, :, order]), wanted, norms[..., order])
    same(shuffled, replace(found, received=found.received[..., order]), TOLERANCE)


def shards_add_up(backend: Backend, without: set[str]) -> None:
    """Keys split over shards, at their positions: weights relative to the joint lse add up."""
    dots, norms = CASES["65 tokens, odd width"].build()
    wanted = Wanted(entropy=True, square=True, distance=True, valued=True, columns=(0, 40))
    shard = torch.randint(3, dots.keys.shape)
    parts = []
    for which in range(3):
        keys = (shard == which).nonzero()[:, 0]
        part = replace(dots, k=dots.k[:, :, keys], key_at=keys, query_at=dots.rows)
        parts.append(backend(part, wanted, norms[..., keys]))
    whole = naive(dots, wanted, norms)
    lse = torch.stack([x.lse.double() for x in parts]).logsumexp(0)
    shares = [((x.lse - lse).exp(), x) for x in parts]
    log = sum(torch.special.xlogy(w, w) * x.row_sum + w * x.every.log for w, x in shares)
    joint = replace(
        whole,
        visible=sum(x.visible for x in parts),
        lse=lse,
        row_sum=sum(w * x.row_sum for w, x in shares),
        distance=sum(w * x.distance for w, x in shares),
        valued=sum(w * x.valued for w, x in shares),
        columns=sum(w[..., None] * x.columns for w, x in shares),
        every=Spread(
            mass=sum(w * x.every.mass for w, x in shares),
            peak=torch.stack([w * x.every.peak for w, x in shares]).amax(0),
            log=log,
            square=sum(w.square() * x.every.square for w, x in shares),
        ),
    )
    same(joint, whole, TOLERANCE)


def rows_are_their_own(backend: Backend, without: set[str]) -> None:
    """Some query rows give what they give among all rows."""
    dots, norms = CASES["padding and window"].build()
    wanted = Wanted(apart=1, entropy=True, square=True, distance=True, columns=(3,), valued=True)
    some = torch.tensor([0, 5, 30, 31, 64])
    part = replace(dots, q=dots.q[:, :, some], query_at=some)
    whole = flat(backend(dots, wanted, norms))
    for name, x in flat(backend(part, wanted, norms)).items():
        among = whole[name].index_select(1 if name == "visible" else 2, some)
        close(x.double(), among.double(), TOLERANCE, name)


def sinks_do_not_drown_the_rest(backend: Backend, without: set[str]) -> None:
    """With all but 1e-3 or 1e-9 of a row on key 0 the rest keeps its relative accuracy."""
    for height in (9.0, 23.0):
        dots, norms = CASES["65 tokens, one key head"].build()
        first = (dots.keys == 0) * height / dots.scale
        k = torch.cat([dots.k, first.expand(1, 1, -1)[..., None]], -1)
        dots = replace(dots, q=torch.cat([dots.q, torch.ones_like(dots.q[..., :1])], -1), k=k)
        wanted = Wanted(apart=1, entropy=True, square=True)
        found, truth = backend(dots, wanted, norms), naive(dots, wanted, norms)
        same(found, truth, bound(dots))
        assert truth.rest.mass.median() < 200 * math.exp(-height)
        left = truth.rest.entropy[..., 1:]
        one_nat = torch.ones_like(left)  # ln w of such a rest is -23, and the entropy its excess
        close(found.rest.entropy[..., 1:], left, bound(dots), "rest entropy", one_nat)


def windows_at_their_ends(backend: Backend, without: set[str]) -> None:
    """A window of one token is the token itself; one as long as the text is no window."""
    dots, norms = CASES["65 tokens, odd width"].build()
    wanted = everything(dots)
    same(backend(replace(dots, window=65), wanted, norms), backend(dots, wanted, norms), TOLERANCE)
    alone = backend(replace(dots, window=1), wanted, norms)
    assert torch.equal(alone.argmax, dots.rows.expand(alone.argmax.shape))
    for x in (alone.row_sum, alone.every.peak, alone.every.square, alone.received):
        close(x, torch.ones_like(x), TOLERANCE, "weight on the token itself")
    assert (alone.every.entropy.abs() < TOLERANCE).all() and (alone.distance.abs() < 1e-5).all()


def rounded_inputs_are_taken_as_they_are(backend: Backend, without: set[str]) -> None:
    """bfloat16 q and k are numbers like others: no product of theirs is rounded again."""
    dots, norms = CASES["bfloat16"].build()
    wanted = everything(dots, without=without)
    same(backend(dots, wanted, norms), naive(widened(dots), wanted, norms), bound(dots) / 2)
    z = (dots.q @ dots.k.mT) * dots.scale
    a = z.masked_fill(~dots.visible(), -torch.inf).softmax(-1)
    rounded = torch.special.entr(a.double()).sum(-1)
    with pytest.raises(AssertionError):
        close(rounded, naive(dots, wanted, norms).every.entropy, 1e-4, "a pattern in bfloat16")


def inputs_are_left_alone(backend: Backend, without: set[str]) -> None:
    """Strided q and k, as models make them, are read and not written."""
    dots, norms = CASES["64 tokens"].build()
    strided = replace(dots, **{x: getattr(dots, x).mT.contiguous().mT for x in ("q", "k")})
    q, k = strided.q.clone(), strided.k.clone()
    wanted = everything(dots, without=without)
    same(backend(strided, wanted, norms), backend(dots, wanted, norms), TOLERANCE)
    assert torch.equal(strided.q, q) and torch.equal(strided.k, k)


CHECKS: dict[Callable[[Backend, set[str]], None], set[str]] = {  # with the options they are about
    only_what_is_wanted: set(),
    masked_rows_are_empty: {"start"},
    groups_share_keys: set(),
    keys_in_any_order: set(),
    shards_add_up: {"key_at", "query_at"},
    rows_are_their_own: {"start", "query_at", "window"},
    sinks_do_not_drown_the_rest: set(),
    windows_at_their_ends: {"window"},
    rounded_inputs_are_taken_as_they_are: set(),
    inputs_are_left_alone: set(),
}  # fmt: skip
