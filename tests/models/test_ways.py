"""Every way to run softmax attention against PyTorch's, and the counts they promise."""

from collections.abc import Callable
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, multiprocessing

from models import ways
from models.attention.contract import HeadConfig
from models.registry import variant
from tests.models.ring_process import one_device

WAYS: dict[str, Callable[..., Tensor]] = {
    "full": ways.full,
    "cached": ways.cached,
    "scan": ways.scan,
    "tree": ways.tree,
}


def inputs(length: int, d_value: int = 5, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """q, k, v of two rows and three heads; logits of any size a model may have."""
    shapes = [(2, 3, length, 6), (2, 3, length, 6), (2, 3, length, d_value)]
    return [3 * torch.randn(shape, dtype=dtype) for shape in shapes]


def near(a: Tensor, b: Tensor, bound: float = 1e-12) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= bound * b.abs().max())


@pytest.mark.parametrize("length", [1, 2, 7, 64, 65])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_sdpa(way: str, length: int) -> None:
    q, k, v = inputs(length)
    assert near(WAYS[way](q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True))


@settings(max_examples=10)
@pytest.mark.parametrize("layout", ways.LAYOUTS)
@example(length=13, devices=5)  # zigzag: fewer tokens than runs
@example(length=6, devices=6)
@given(length=st.integers(1, 40), devices=st.integers(1, 6))
def test_a_ring_is_sdpa_and_weighs_every_pair_once(layout: str, length: int, devices: int) -> None:
    devices = min(devices, length)
    q, k, v = inputs(length)
    out, ring = ways.blockwise(q, k, v, devices, layout)
    assert near(out, F.scaled_dot_product_attention(q, k, v, is_causal=True))
    assert ring.work.sum() == length * (length + 1) // 2
    assert ((ring.step < 0) == torch.ones(length, length).triu(1).bool()).all()
    assert (ring.step.diagonal() == 0).all(), "each device begins with its own keys"
    for i, j in torch.tril_indices(length, length).T:
        source = (ring.device[i] - ring.step[i, j]) % devices
        assert source == ring.device[j], "device r meets the keys of device r - s in step s"


@pytest.mark.parametrize("way", [*WAYS, "blockwise"])
def test_logits_of_thousands_do_not_overflow(way: str) -> None:
    q, k, v = inputs(20, dtype=torch.float32)
    q = 1000 * q
    out = ways.blockwise(q, k, v)[0] if way == "blockwise" else WAYS[way](q, k, v)
    # Which key wins is exact only where float32 tells the two largest logits apart.
    assert near(out, F.scaled_dot_product_attention(q, k, v, is_causal=True), 1e-2)


def test_combining_parts_is_associative_and_commutative() -> None:
    parts = [
        ways.one_key(*(3 * torch.randn(9, 4, dtype=torch.float64) for _ in "qkv")) for _ in "abc"
    ]
    a, b, c = parts
    whole = ways.combine(ways.combine(a, b), c)
    assert (whole.u.abs() > 0).all()
    for other in (ways.combine(a, ways.combine(b, c)), ways.combine(ways.combine(c, a), b)):
        assert all(near(x, y, 1e-14) for x, y in zip(whole, other, strict=True))


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_work_of_the_layouts(devices: int) -> None:
    """Contiguous devices wait almost half of the time; zigzag and striped ones hardly do."""
    b = 6  # tokens per device
    contiguous, zigzag, striped = (
        ways.ring(b * devices, devices, layout) for layout in ("contiguous", "zigzag", "striped")
    )
    step, device = torch.arange(devices)[:, None], torch.arange(devices)
    triangle = b * (b + 1) // 2
    expected = torch.where(device >= step, b * b, 0)
    expected[0] = triangle
    assert torch.equal(contiguous.work, expected)
    pairs = devices * b * (devices * b + 1) / 2
    assert contiguous.balance == pytest.approx(pairs / devices / (triangle + (devices - 1) * b * b))
    # Two runs of b/2 a device: in every later step it sees exactly half of all pairs.
    expected = torch.full((devices, devices), b * b // 2)
    expected[0] = triangle
    assert torch.equal(zigzag.work, expected) and zigzag.balance == 1
    assert torch.equal(striped.work, torch.where(device >= step, triangle, triangle - b))
    assert contiguous.balance < 0.7 < striped.balance < 1


@pytest.mark.parametrize(("devices", "layout"), [(4, "spiral"), (0, "striped"), (9, "zigzag")])
def test_impossible_rings_are_refused(devices: int, layout: str) -> None:
    with pytest.raises(ValueError, match=layout if layout == "spiral" else f"got {devices}"):
        ways.ring(8, devices, layout)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_recomputing_everything_is_the_stack_at_binomial_cost(n_layers: int) -> None:
    heads = HeadConfig(d_model=12, n_heads=4, n_kv_heads=2)
    layers = [variant("softmax").mixer(heads).double() for _ in range(n_layers)]
    length = 7

    def turn(x: Tensor, where: Tensor) -> Tensor:
        return x * (1 + where.to(x.dtype)[:, None] / length)

    x = torch.randn(2, length, 12, dtype=torch.float64)
    out, steps = ways.recompute(x, layers, turn)
    expected = x
    for mixer in layers:
        p = mixer.place(mixer.project(expected), torch.arange(length), turn)
        expected = expected + mixer.merge(mixer.mix(p))
    assert near(out, expected)
    assert steps == [comb(t + n_layers - 1, n_layers) for t in range(1, length + 1)]
    assert sum(steps) == comb(length + n_layers, n_layers + 1)


def test_the_simulated_ring_is_a_real_one(tmp_path: Path) -> None:
    """ring_attention_pytorch over two processes that pass keys and values by gloo, in float32."""
    q, k, v = inputs(24, d_value=6, dtype=torch.float32)
    layouts = {name: ways.LAYOUTS[name](24, 2) for name in ("contiguous", "striped")}
    parts = [
        {name: [x[:, :, held[rank]] for x in (q, k, v)] for name, held in layouts.items()}
        for rank in range(2)
    ]
    try:
        multiprocessing.spawn(one_device, args=(parts, str(tmp_path)), nprocs=2)
    except multiprocessing.ProcessRaisedException:
        if not (tmp_path / "connected").exists():
            pytest.skip("gloo cannot connect two processes on this machine")
        raise
    for name in layouts:
        out, ring = ways.blockwise(q, k, v, 2, name)
        for rank in range(2):
            theirs = torch.from_numpy(np.load(tmp_path / f"{name}{rank}.npy"))
            assert near(out[:, :, ring.device == rank], theirs, 3e-6)
