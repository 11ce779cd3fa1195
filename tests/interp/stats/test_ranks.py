"""A real ring of 2 and of 4 gloo processes under torchrun, against the dense float64 truth."""

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp.stats.head_stats import HeadStats
from interp.stats.naive import naive
from interp.stats.ranks.ring import balance, shard
from models import ways
from tests.interp.stats.ranks_cases import CASES, Case, whole

# One process of its own for all tests here: no second worker shall start it again.
pytestmark = pytest.mark.xdist_group("ranks")

WORLDS = (2, 4)
ROOT = Path(__file__).parents[3]
BY_KEY, ALIKE = ("received",), ("lags", "block_sum", "block_peak")  # the rest goes by row


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(n, marks=pytest.mark.slow if n > 2 else (), id=f"{n} ranks") for n in WORLDS
    ],
)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each rank of one ring found; all cases in one run, because processes start slowly."""
    folder = tmp_path_factory.mktemp("ring")
    torchrun(request.param, "-m", "tests.interp.stats.ranks_process", str(folder))
    return [torch.load(folder / f"{r}.pt", weights_only=False) for r in range(request.param)]


def torchrun(world: int, *command: str) -> str:
    """What a program prints on so many ranks."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    done = subprocess.run(
        [*start, str(world), *command], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def parts(stats: object, prefix: str = "") -> dict[str, Tensor]:
    """All tensors by name."""
    found = {}
    for f in fields(stats):
        x = getattr(stats, f.name)
        if is_dataclass(x):
            found |= parts(x, f"{prefix}{f.name}.")
        elif x is not None:
            found[prefix + f.name] = x
    return found


def check(found: HeadStats, truth: HeadStats, case: Case, rows: Tensor, keys: Tensor) -> None:
    """Every field, at some rows and keys of the truth; integers exactly."""
    found, truth = parts(found), parts(truth)
    assert found.keys() == truth.keys()
    for name, x in found.items():
        if name in ALIKE:
            y = truth[name]
        else:
            axis = 1 if name == "visible" else 2
            y = truth[name].index_select(axis, keys if name in BY_KEY else rows)
        if not x.is_floating_point():
            assert bool((x.expand_as(y) == y).all()), name
            continue
        assert x.dtype == torch.float32, name
        size = y[y.isfinite()].abs().max() if y.isfinite().any() else 0
        torch.testing.assert_close(x.double(), y, rtol=0, atol=float(case.bound * size), msg=name)


@pytest.mark.parametrize("name", CASES)
def test_each_rank_is_the_truth(ranks: list[dict], name: str) -> None:
    case, world = CASES[name], len(ranks)
    truth = naive(*whole(case, world))
    every = torch.arange(case.n or world)
    held = torch.cat([rank["cases"][name]["at"] for rank in ranks])
    assert (held.sort().values == every).all(), "each token belongs to one rank"
    for rank in ranks:
        found = rank["cases"][name]
        check(found["stats"], truth, case, found["at"], found["at"])
        check(found["whole"], truth, case, every, every)


def test_keys_travel_once_a_pass_in_their_own_type(ranks: list[dict]) -> None:
    world, case = len(ranks), CASES["rows alone"]
    dots = whole(case, world)[0]
    size = dots.k[:, :, 0].nbytes + 8  # a key of every head, and its position
    norms = 4 * dots.q.shape[0] * dots.q.shape[1]
    for r, rank in enumerate(ranks):
        passed = sum(
            len(ranks[(r - step) % world]["cases"]["rows alone"]["at"]) for step in range(world - 1)
        )
        assert rank["cases"]["rows alone"]["sent"] == passed * (size + norms)
    plain, narrow = (sum(r["cases"][x]["sent"] for r in ranks) for x in ("grouped", "bfloat16"))
    lost = 2 * (world - 1) * 67 * 2 * dots.k[:, :2, 0].numel()  # two passes, two bytes a number
    assert plain - narrow == lost


def test_a_ring_of_some_ranks(ranks: list[dict]) -> None:
    case, world = CASES["everything"], len(ranks)
    for rank in ranks[-2:]:
        found = rank["some"]
        check(found["stats"], naive(*whole(case, world)), case, found["at"], found["at"])
    for r, rank in enumerate(ranks[:-2]):
        assert rank["some"] == f"rank {r} is not in the group; only its ranks make a ring of it"


@pytest.mark.parametrize("ranks", [2], indirect=True, ids=["2 ranks"])
def test_split_heads_need_no_messages(ranks: list[dict]) -> None:
    """Tensor parallelism: an ordinary backend on a rank's own heads."""
    whole_layer = parts(ranks[0]["heads"]["whole"])
    assert all(rank["heads"]["messages"] == 0 for rank in ranks)
    for name, x in whole_layer.items():
        mine = [parts(rank["heads"]["mine"])[name] for rank in ranks]
        if name == "visible":
            assert all(bool((one == x).all()) for one in mine)
            continue
        assert mine[0].shape[1] == 8 // len(ranks)
        torch.testing.assert_close(torch.cat(mine, 1), x, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("no positions", r"rank LAST: a shard's rows and keys need positions; .*"),
        ("no rows", r"rank LAST: query_at needs rising positions of the 0 tokens .*; got 0"),
        ("no norms", r"rank LAST: valued needs the norms of the values; .*"),
        ("targets", r"rank LAST: targets needs one key for each of this rank's \d+ rows, got \d+"),
        ("another question", "all ranks must have the same block; rank 0 has 11, rank LAST has 5"),
        ("another form", "all ranks must have the same window; rank 0 has None, rank LAST has 4"),
        ("positions of its own", r"the ranks hold 67 keys .* each of the positions 0 to \d+ .*"),
    ],
)
def test_one_rank_wrong_and_all_refuse(ranks: list[dict], wrong: str, sentence: str) -> None:
    said = {rank["refusals"][wrong] for rank in ranks}
    assert len(said) == 1 and "\n" not in (one := said.pop())
    assert re.fullmatch(sentence.replace("LAST", str(len(ranks) - 1)), one), one


@pytest.mark.parametrize("layout", ways.LAYOUTS)
@pytest.mark.parametrize(("length", "world"), [(1, 1), (2, 2), (13, 5), (40, 4), (41, 4)])
def test_balance_is_that_of_the_simulated_ring(length: int, world: int, layout: str) -> None:
    assert balance(length, world, layout) == pytest.approx(ways.ring(length, world, layout).balance)


def test_zigzag_is_even() -> None:
    assert balance(4096, 4) > 0.99 > 0.6 > balance(4096, 4, "contiguous")
    assert shard(10, 2, 0).tolist() == [0, 1, 2, 8, 9], "runs of 3, 3, 2 and 2 tokens"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((3, 4, 0), "3 tokens can be held by 1 to 3 ranks, got 4"),
        ((8, 2, 2), "ranks count from 0 to 1, got 2"),
        ((8, 2, 0, "spiral"), "no layout 'spiral'; choose one of contiguous, zigzag, striped"),
    ],
)
def test_shards_that_cannot_be(given: tuple, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        shard(*given)
