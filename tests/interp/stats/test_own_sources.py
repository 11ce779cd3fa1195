"""Every variant as a Source: what is streamed is what its explicit matrix says."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interp.stats.layers.dots_source import DotsSource, written_norms
from interp.stats.layers.own_source import source_of
from interp.stats.layers.probing import ProbingSource
from interp.stats.layers.strips import StripsSource
from interp.stats.sources import Source
from interp.stats.wanted import Wanted
from interp.subject import by_token
from models.attention.contract import Mixer, Projected
from models.registry import VARIANTS
from tests.conftest import one_per_traits
from tests.interp.stats.explicit import everything, holds, of_pattern
from tests.models.test_contract import Case, projected


def made(name: str, length: int, batch: int = 2) -> tuple[Mixer, Projected, Tensor]:
    """A layer in float64, what it projects, and its matrix with one column per token."""
    case = Case(2, 2, 4, batch=batch, length=length, seed=length)
    mixer = case.mixer(name)
    with torch.no_grad():
        p = projected(mixer, case.x())
        return mixer, p, by_token(mixer.pattern(p))


def streamed(mixer: Mixer, p: Projected) -> tuple[Source, float]:
    """The layer's Source and the error it may make: backends of softmaxes run in float32."""
    source = source_of(mixer, p)
    assert isinstance(source, Source)
    return source, 1e-5 if isinstance(source, DotsSource) else 1e-9


def asked(mixer: Mixer, p: Projected) -> tuple[Wanted, Tensor | None]:
    """All statistics, and the norms of what values write, where a token has one value."""
    wanted = everything(len(p.q), torch.arange(p.q.shape[2]))
    if mixer.traits.keys_per_token > 1:
        return replace(wanted, valued=False), None
    with torch.no_grad():
        return wanted, (mixer.values(p) @ mixer.W_O).norm(dim=-1)


@pytest.mark.parametrize("name", VARIANTS)
def test_statistics_are_those_of_the_explicit_matrix(name: str) -> None:
    for length in (1, 67):
        mixer, p, a = made(name, length)
        source, tolerance = streamed(mixer, p)
        wanted, norms = asked(mixer, p)
        assert source.shape == (2, 4, length) and source.nbytes > 0
        found = source.stats(wanted)
        holds(found, a, wanted, tolerance, norms=norms)
        assert not found.row_sum.requires_grad


@pytest.mark.parametrize("name", VARIANTS)
def test_windows_and_overviews_are_parts_of_the_matrix(name: str) -> None:
    mixer, p, a = made(name, 37)
    source, tolerance = streamed(mixer, p)
    size = a.abs().max()
    for rows, keys in ((slice(0, 37), slice(0, 37)), (slice(9, 30), slice(20, 35))):
        found = source.window(3, rows, keys)
        assert found.shape == (2, rows.stop - rows.start, keys.stop - keys.start)
        assert (found - a[:, 3, rows, keys]).abs().max() <= tolerance * size
    found, peaks = source.overview(1, 6), of_pattern(a[:, 1:2], Wanted(block=7)).block_peak[:, 0]
    assert found.shape == (2, 6, 6)
    assert (found - peaks).abs().max() <= tolerance * size


# Two for each road, with several columns per token and a mask where there is one.
@pytest.mark.parametrize(
    "name", ["softmax", "fox", "strided", "sigmoid", "longformer", "path", "delta_product", "mesa"]
)
def test_some_rows_are_those_rows(name: str) -> None:
    """Where a variant can read some rows alone; those that cannot say so."""
    mixer, p, a = made(name, 40)
    source, tolerance = streamed(mixer, p)
    at = torch.tensor([0, 3, 4, 5, 20, 39])
    few = source.sample(at)
    if isinstance(source, ProbingSource):
        assert few is None
        return
    _, norms = asked(mixer, p)
    wanted = replace(everything(2, at), valued=norms is not None)
    holds(few.stats(wanted), a[:, :, at], wanted, tolerance, at, norms)


@pytest.mark.parametrize("name", VARIANTS)
def test_both_universal_roads_read_every_variant(name: str) -> None:
    """Strips of the pattern and columns of `mix` agree, whichever of them is taken."""
    mixer, p, a = made(name, 33)
    wanted = Wanted(entropy=True, square=True, top=2, received=True)
    holds(StripsSource(mixer, p).stats(wanted), a, wanted, 1e-9)
    if mixer.traits.subquadratic or mixer.traits.solves:
        holds(ProbingSource(mixer, p).stats(wanted), a, wanted, 1e-9)


class Largest(TorchDispatchMode):
    """Remembers the largest storage that any operation made, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, Tensor):
                self.nbytes = max(self.nbytes, x.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize(
    "name",
    [n if n in one_per_traits() else pytest.param(n, marks=pytest.mark.slow) for n in VARIANTS],
)
def test_no_matrix_is_built(name: str) -> None:
    """No tensor has n x n entries for every head, on the way to any statistic."""
    t = 512
    mixer = Case(2, 1, 4, batch=1, length=t, seed=0).mixer(name).float()
    with torch.no_grad():
        p = projected(mixer, torch.randn(1, t, 8))
    wanted = Wanted(apart=1, entropy=True, square=True, received=True, block=16, columns=(0,))
    with Largest() as largest:
        source = source_of(mixer, p)
        source.stats(wanted)
        source.window(0, slice(200, 230), slice(0, 230))
        source.overview(1, 32)
    assert largest.nbytes < 2 * t * t * 4 * 0.6


def test_sink_logits_are_no_keys_and_rows_stay_short() -> None:
    """The row sum that a statistic reports is what is left beside the virtual key."""
    mixer, p, a = made("sink_logit", 20)
    found = source_of(mixer, p).stats(Wanted())
    assert (found.row_sum < 1).all()
    assert torch.allclose(found.row_sum.double(), a.sum(-1), rtol=1e-5)


def test_a_variant_with_several_values_per_token_has_no_norm_of_one() -> None:
    mixer, p, _ = made("longformer", 5)
    with pytest.raises(ValueError, match="here a token has 2"):
        source_of(mixer, p).stats(Wanted(valued=True))
    with pytest.raises(ValueError, match="give both"):
        DotsSource(made("softmax", 5)[0].dots(made("softmax", 5)[1])).stats(Wanted(valued=True))


def test_norms_of_what_is_written_where_w_o_nearly_loses_it() -> None:
    """A value that W_O takes to a millionth of others' length keeps its digits in float32."""
    torch.manual_seed(0)
    v, W_O = torch.randn(1, 1, 9, 4), torch.randn(2, 4, 10)
    W_O[:, 3] = 1e-6 * W_O[:, 3]
    v[..., 0, :3] = 0
    truth = (v.double() @ W_O.double()).norm(dim=-1)
    assert (written_norms(v, W_O) / truth - 1).abs().max() < 1e-5


def test_rows_that_are_not_there_are_refused() -> None:
    mixer, p, _ = made("softmax", 5)
    with pytest.raises(ValueError, match="only 1 are there"):
        source_of(mixer, p).sample(torch.tensor([3, 7]))
