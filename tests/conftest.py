"""What every test shares: seeds, one torch thread, a tiny model of each variant, shared data."""

import atexit
import os
import shutil
import tempfile

# Before torch, tqdm and transformers are imported: they read these once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests import shapes

if os.environ.get("TEST_SHAPES") != "0":  # tests/mutants.py does without: values must tell
    shapes.check("models", "interp")

from models import smollm2
from models.home import home
from models.registry import VARIANTS, variant
from models.transformer import Transformer, TransformerConfig


def own_home() -> None:
    """A HEADLAMP_HOME of the tests' own: it sees the real one's models, and keeps nothing there."""
    real, mine = home(), Path(tempfile.mkdtemp(prefix="headlamp-tests-"))
    atexit.register(shutil.rmtree, mine, ignore_errors=True)
    (real / "models").mkdir(exist_ok=True)
    (mine / "models").symlink_to(real / "models")
    os.environ["HEADLAMP_HOME"] = str(mine)


own_home()

SHARED = Path(__file__).resolve().parents[2] / "shared"

torch.set_num_threads(1)  # tiny tensors: threads only add noise and waiting
settings.register_profile("headlamp", deadline=None, derandomize=True, database=None)
settings.load_profile("headlamp")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: see the marker."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same random numbers."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Where a folder of /shared/data lies; skips the test when this machine has none."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"no shared data at {path}")
        return path

    return find


@pytest.fixture(scope="session")
def model() -> Any:
    """SmolLM2 as a Subject, loaded once by a process: mark its tests xdist_group("smollm2")."""
    from interp.catalog import load  # most tests do without it

    if not smollm2.ready():
        pytest.skip("SmolLM2 is not under HEADLAMP_HOME; run python -m models.smollm2")
    return load("smollm2")


@pytest.fixture(scope="session")
def build() -> Callable[..., Transformer]:
    """Make a tiny Transformer with the same weights each time; keywords are its config's fields."""

    def make(**fields: str | int | float) -> Transformer:
        sizes = dict(d_model=24, n_heads=4, d_mlp=40, vocab_size=29, n_ctx=32)
        sizes |= suited(fields.get("variant", "softmax"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            model = Transformer(TransformerConfig(**{**sizes, **fields}))
            jitter_constants(model)
        return model.eval()

    return make


def suited(name: str) -> dict[str, str | int]:
    """Two groups and rotary positions where the variant takes them."""
    traits = variant(name).traits
    return {
        "n_kv_heads": 2 if traits.grouped else 4,
        "positions": "rotary" if traits.rotary else "none",
    }


# One for each way a variant is wired into the Transformer, for tests of that wiring: plain, with a
# sink, with a gate between A·v and W_O, with widths of its own, normalised, with a recurrent extra.
WIRED = ("softmax", "sink_logit", "gated", "mla", "linear", "delta")


def one_per_traits() -> list[str]:
    """The first variant of each set of traits, for tests of what stands on the traits alone."""
    first: dict[tuple, str] = {}
    for name, found in VARIANTS.items():
        t = found.traits
        rows = (t.row_stochastic, t.nonnegative, t.exact, t.sink_slot, t.logits)
        first.setdefault((*rows, t.rotary, t.grouped, t.keys_per_token, bool(t.side)), name)
    return list(first.values())


def one_per_matrix() -> list[str]:
    """The first variant of each kind of matrix, for tests of what reads matrices."""
    first: dict[tuple, str] = {}
    for name, found in VARIANTS.items():
        t = found.traits
        rows = (t.row_stochastic, t.nonnegative, t.exact, t.sink_slot, t.logits)
        first.setdefault((*rows, t.keys_per_token), name)
    return list(first.values())


def jitter_constants(model: Transformer) -> None:
    """Move gains off 1 and sinks off 0, or tests could not tell them from constants."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.5 * torch.randn_like(parameter).tanh()


@pytest.fixture(params=VARIANTS)
def variant_name(request: pytest.FixtureRequest) -> str:
    """Every variant of the registry in turn."""
    return request.param


@pytest.fixture(params=one_per_traits())
def typical(request: pytest.FixtureRequest) -> str:
    """One variant of each set of traits."""
    return request.param


@pytest.fixture
def tiny(variant_name: str, build: Callable[..., Transformer]) -> Transformer:
    """A tiny grouped-head model of each variant."""
    return build(variant=variant_name)


@pytest.fixture(scope="session")
def tokens() -> torch.Tensor:
    """Two prompts of eleven ids in the tiny models' vocabulary; some ids repeat."""
    row = [3, 14, 15, 9, 2, 6, 5, 3, 14, 15, 8]
    return torch.tensor([row, [27, 1, 8, 2, 8, 1, 8, 28, 4, 5, 9]])
