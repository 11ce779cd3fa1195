"""Linear and delta attention as recurrences: their matrices, and what is streamed from them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interp.stats.head_stats import HeadStats
from interp.stats.recurrence.moments import received, second_moment
from interp.stats.recurrence.recurrent import RecurrentSource
from interp.stats.recurrence.scan import CHUNK, STRIP, scan
from interp.stats.wanted import Wanted
from interp.subject import by_token
from models.attention.contract import Mixer, Projected, repeat_groups
from models.forms import Recurrence, RecurrentForm
from models.registry import VARIANTS
from tests.interp.stats.checks import close
from tests.interp.stats.explicit import everything, holds, of_pattern
from tests.models.references.delta_family import REFERENCES
from tests.models.test_contract import Case, projected

FAMILY = {
    "linear", "unnormalised", "one_plus_cos", "exp_feature", "efficient", "performer", "cosformer",
    "based", "rebased", "norm_attention", "retnet", "lightning", "simple_gla", "gla", "mamba2",
    "rwkv6", "delta", "gated_delta", "comba", "kda", "delta_product", "rwkv7", "mesa",
}  # fmt: skip
# No decay; a decay per channel and a diagonal of its own; per token; low rank; two keys per token.
KINDS = ["linear", "rwkv6", "mamba2", "gated_delta", "delta_product"]


def made(name: str, length: int, dtype: torch.dtype = torch.float64) -> tuple[Mixer, Projected]:
    """Four heads of width 4 in two groups, and what they project."""
    case = Case(2, 2, 4, batch=1, length=length, seed=length)
    mixer = case.mixer(name).to(dtype)
    with torch.no_grad():
        return mixer, projected(mixer, case.x().to(dtype))


@torch.no_grad()
def matrix(mixer: Mixer, p: Projected) -> Tensor:
    return by_token(mixer.pattern(p))


def token_by_token(r: Recurrence) -> Tensor:
    """The matrix as the docstring of Recurrence says it: a memory whose values are unit vectors."""
    heads, (t, s) = r.q.shape[1], (r.q.shape[2], r.k.shape[2])
    k, g, a, b = (
        None if x is None else repeat_groups(x, heads).expand(len(r.q), -1, -1, -1)
        for x in (r.k, r.g, r.a, r.b)
    )
    memory, rows = r.q.new_zeros(*k.shape[:2], k.shape[-1], s), []
    for i in range(t):
        before = r.q[:, :, i, None] @ memory
        for j in range(i * s // t, (i + 1) * s // t):
            faded = memory if g is None else g[:, :, j, :, None].exp() * memory
            if a is not None:
                faded = faded + b[:, :, j, :, None] * (a[:, :, j, None] @ memory)
            memory = faded
            memory[..., j] += k[:, :, j]
        row = r.q[:, :, i, None] @ memory
        if r.own is not None:
            row = before
            row[..., 0, i] = r.own[:, :, i]
        rows.append(row)
    return torch.cat(rows, 2)


def test_which_variants_are_recurrences():
    found = {name for name in VARIANTS if isinstance(made(name, 1)[0], RecurrentForm)}
    assert found == FAMILY


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_the_recurrence_has_the_matrix_of_the_variant(name):
    for length in (1, 21):
        mixer, p = made(name, length)
        with torch.no_grad():
            torch.testing.assert_close(
                token_by_token(mixer.recurrence(p)), mixer.pattern(p), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_statistics_past_a_chunk(name):
    mixer, p = made(name, CHUNK + 5)
    wanted = everything(1, torch.arange(CHUNK + 5), apart=3)
    lengths = None
    if mixer.traits.keys_per_token == 1:
        with torch.no_grad():
            lengths = (mixer.values(p) @ mixer.W_O).norm(dim=-1)
    else:
        wanted = replace(wanted, valued=False)
    found = RecurrentSource(mixer, p).stats(wanted)
    assert found.row_sum.dtype == torch.float64
    holds(found, matrix(mixer, p), wanted, 1e-9, norms=lengths)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 130])
@pytest.mark.parametrize("name", KINDS)
def test_rows_at_the_edges_of_chunks(name, length):
    mixer, p = made(name, length)
    a, source = matrix(mixer, p), RecurrentSource(mixer, p)
    for head in (0, 3):
        found = source.window(head, slice(0, length), slice(0, length))
        torch.testing.assert_close(found, a[:, head], rtol=1e-9, atol=1e-12)
    assert_sums(source, a)


@pytest.mark.parametrize("name", KINDS)
def test_rows_past_a_strip_in_one_block_and_scattered(name):
    length = CHUNK * STRIP + 70
    mixer, p = made(name, length)
    source = RecurrentSource(mixer, p)
    rows = torch.tensor([0, 3, 63, 64, 500, 511, 512, 513, 581])
    a = matrix(mixer, p)
    wanted = Wanted(entropy=True, square=True, top=2, received=True, apart=2, offsets=(0, 520))
    holds(source.sample(rows).stats(wanted), a[:, :, rows], wanted, 1e-9, rows)
    found = source.window(2, slice(530, 580), slice(400, 560))
    torch.testing.assert_close(found, a[:, 2, 530:580, 400:560], rtol=1e-9, atol=1e-12)
    assert_sums(source, a)


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_sums_along_the_recurrence(name):
    mixer, p = made(name, 2 * CHUNK + 1)
    assert_sums(RecurrentSource(mixer, p), matrix(mixer, p))


def assert_sums(source: RecurrentSource, a: Tensor) -> None:
    """What adds up equals the definition; the rest is not a number, or refused."""
    nonnegative = source.mixer.traits.nonnegative
    wanted = Wanted(apart=3, square=True, columns=(0, 70), received=True, distance=nonnegative)
    found, truth = source.sums(wanted), of_pattern(a, wanted)
    size = of_pattern(a.abs(), wanted)
    close(found.every.square, truth.every.square, 1e-9, "square")
    close(found.rest.square, truth.rest.square, 1e-9, "rest.square", truth.every.square)
    close(found.row_sum, truth.row_sum, 1e-9, "row_sum", size.row_sum)
    close(found.received, truth.received, 1e-9, "received", size.received)
    close(found.columns, truth.columns, 1e-9, "columns", size.row_sum[..., None])
    for part, true in ((found.every, truth.every), (found.rest, truth.rest)):
        assert part.peak.isnan().all() and part.log is None
        if nonnegative:
            close(part.mass, true.mass, 1e-9, "mass", truth.every.mass)
        else:
            assert part.mass.isnan().all()
    if nonnegative:
        close(found.distance, truth.distance, 1e-9, "distance", truth.every.mass)


@pytest.mark.parametrize("name", ["gated_delta", "kda", "rwkv7"])
def test_moments_against_flash_linear_attention(name):
    """Its token-by-token loops, in float32, given the identity for values."""
    mixer, p = made(name, 70)
    with torch.no_grad():
        a, r = REFERENCES[name].pattern(mixer, p).double(), mixer.recurrence(p)
    torch.testing.assert_close(second_moment(r), a.square().sum(-1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(received(scan(r)), a.sum(-2), rtol=1e-4, atol=1e-5)


def test_the_delta_rule_by_hand():
    """β = 1/2 and keys e1, e1, e2: G_2 halves what lies along e1, G_3 what lies along e2.

    Queries e1, e1 and e1 - e2 read (1/2), (1/4, 1/2) and (1/4, 1/2, -1/2).
    """
    k = torch.tensor([[1.0, 0], [1, 0], [0, 1]])[None, None]
    q = torch.tensor([[1.0, 0], [1, 0], [1, -1]])[None, None]
    r = Recurrence(q=q, k=k / 2, a=k, b=-k / 2)
    rows = torch.tensor([[0.5, 0, 0], [0.25, 0.5, 0], [0.25, 0.5, -0.5]])
    assert torch.equal(scan(r).near[0, 0, 0, :3, 0, :3], rows)
    assert torch.equal(second_moment(r)[0, 0], torch.tensor([0.25, 0.3125, 0.5625]))
    assert torch.equal(received(scan(r))[0, 0], torch.tensor([1, 1, -0.5]))


@pytest.mark.parametrize("name", ["retnet", "gla", "mamba2", "rwkv6", "gated_delta", "kda", "mesa"])
def test_strong_decay_leaves_zeros_and_no_nan(name):
    mixer, p = made(name, 150)
    if "decay" in p.extra:
        p = replace(p, extra={**p.extra, "decay": 3000 * p.extra["decay"] - 200})
    for given in (p, as_type(p, torch.float32)):
        found = RecurrentSource(mixer.to(given.q.dtype), given)
        stats, sums = (
            found.stats(Wanted(entropy=True, square=True)),
            found.sums(Wanted(square=True)),
        )
        a = matrix(mixer, given)
        for x in (stats.row_sum, stats.every.mass, stats.every.log, stats.every.square):
            assert x.isfinite().all()
        torch.testing.assert_close(stats.every.mass, a.abs().sum(-1), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(sums.every.square, a.square().sum(-1), rtol=1e-4, atol=1e-7)


def as_type(p: Projected, dtype: torch.dtype) -> Projected:
    q, k, v = (x.to(dtype) for x in (p.q, p.k, p.v))
    return Projected(q, k, v, {name: x.to(dtype) for name, x in p.extra.items()})


@pytest.mark.parametrize("name", ["exp_feature", "performer", "efficient"])
def test_exponential_features_of_logits_of_spread_30(name):
    """In float32 as well: no feature is exponentiated by itself."""
    mixer, p = made(name, 150)
    p = replace(p, q=30 * p.q, k=30 * p.k)
    a = matrix(mixer, p)
    wanted = Wanted(entropy=True, square=True, received=True)
    holds(RecurrentSource(mixer, p).stats(wanted), a, wanted, 1e-9)
    found = RecurrentSource(mixer.float(), as_type(p, torch.float32)).stats(wanted)
    assert (found.row_sum - 1).abs().max() < 1e-5
    # Logits in the hundreds are known to a ten-thousandth, and weights no better.
    close(found.every.square, of_pattern(a, wanted).every.square, 2e-3, "square")


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_float32_and_bfloat16_come_near_to_float64(name):
    """Inputs are rounded once, and nothing after."""
    mixer, p = made(name, 150)
    low = as_type(p, torch.bfloat16)
    exact = as_type(low, torch.float64)
    wanted = Wanted(entropy=True, square=True)
    truth = RecurrentSource(mixer, exact).stats(wanted)
    found = RecurrentSource(mixer.float(), low).stats(wanted)
    assert found.row_sum.dtype == torch.float32
    error = worst(found, truth)
    assert error < 1e-4, error


def worst(found: HeadStats, truth: HeadStats) -> float:
    """The largest error of mass and squares, relative to the row."""
    mass = (found.every.mass - truth.every.mass).abs() / truth.every.mass
    square = (found.every.square - truth.every.square).abs() / truth.every.square
    return max(mass.max().item(), square.max().item())


class Largest(TorchDispatchMode):
    """Remembers the most numbers that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, Tensor):
                self.numel = max(self.numel, x.numel())
        return out


@pytest.mark.parametrize("name", KINDS)
def test_memory_grows_like_the_sequence(name):
    most = []
    for length in (512, 1024):
        mixer, p = made(name, length, torch.float32)
        with Largest() as largest:
            RecurrentSource(mixer, p).stats(Wanted(entropy=True, square=True, received=True))
        most.append(largest.numel / 4)
    assert most[1] < 1024**2 / 8
    assert most[1] <= 2.1 * most[0]


def test_what_does_not_add_up_is_refused():
    mixer, p = made("delta", 9)
    source = RecurrentSource(mixer, p)
    with pytest.raises(ValueError, match="entropy, top, distance, targets: not a sum"):
        source.sums(Wanted(entropy=True, top=1, distance=True, targets=torch.zeros(1, 9).long()))
    with pytest.raises(ValueError, match="all rows"):
        source.sample(torch.tensor([1, 2])).sums(Wanted())


def test_recurrences_that_do_not_fit_together():
    x = torch.zeros(1, 1, 4, 2)
    with pytest.raises(ValueError, match="4 keys are no multiple of 3 queries"):
        Recurrence(q=x[:, :, :3], k=x)
    with pytest.raises(ValueError, match="both or neither"):
        Recurrence(q=x, k=x, a=x)
