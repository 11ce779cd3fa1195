"""Variants that hide keys or move them: hand-worked masks, distances, and a streaming cache."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from models.attention.atrous_local import AtrousLocal
from models.attention.block_sparse import BlockSparse
from models.attention.contract import HeadConfig, Mixer, Projected
from models.attention.diag import Diag
from models.attention.fixed import Fixed
from models.attention.lambda_mask import LambdaMask
from models.attention.leaky_rerope import LeakyReRoPE
from models.attention.longformer import Longformer
from models.attention.rerope import ReRoPE
from models.attention.self_extend import SelfExtend
from models.attention.softmax import Softmax
from models.attention.streaming import Streaming
from models.attention.strided import Strided
from models.attention.window import Window
from models.positions import rotate
from models.registry import variant
from tests.models.references import repeated, sequence_first
from tests.models.references.masks import VISIBLE, longformer_self_attention, mask_mod

HEADS = HeadConfig(d_model=24, n_heads=4, n_kv_heads=2)


def turn(x: Tensor, where: Tensor) -> Tensor:
    """Rotary positions of base 100, so that six-wide heads feel every distance below 70."""
    return rotate(x, where, 100.0)


def inputs(length: int = 70) -> Tensor:
    return torch.randn(2, length, HEADS.d_model, dtype=torch.float64)


def placed(mixer: Mixer, x: Tensor, first: int = 0, turn: Callable = turn) -> Projected:
    where = torch.arange(first, first + x.shape[1])
    return mixer.place(mixer.project(x), where, turn)


def seen(mixer: Mixer, length: int, head: int = 0) -> list[str]:
    """Rows of the mask, an x for every key that is read."""
    a = mixer.double().pattern(placed(mixer, inputs(length)))[0, head]
    return ["".join("x" if weight else "." for weight in row) for row in a]


@pytest.mark.parametrize(
    ("mixer", "rows"),
    [
        (Window(HEADS, window=2), "x..... xx.... .xx... ..xx.. ...xx. ....xx"),
        (Streaming(HEADS, sinks=1, window=2), "x..... xx.... xxx... x.xx.. x..xx. x...xx"),
        (LambdaMask(HEADS, sinks=2, window=1), "x..... xx.... xxx... xx.x.. xx..x. xx...x"),
        (Strided(HEADS, stride=2), "x..... xx.... .xx... ..xx.. ...xx. ....xx"),
        (AtrousLocal(HEADS, reach=2), "x..... xx.... xxx... .xxx.. x.xxx. .x.xxx"),
        (Fixed(HEADS, block=3, summary=1), "x..... xx.... xxx... ..xx.. ..xxx. ..xxxx"),
        (Diag(HEADS, block=4), "x..... xx.... xxx... xxxx.. ....x. ....xx"),
        (BlockSparse(HEADS, block=1), "x..... xx.... xxx... .xxx.. x.xxx. .x.xxx"),
        (ReRoPE(HEADS, window=1), "x..... xx.... xxx... xxxx.. xxxxx. xxxxxx"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Mixer) else "",
)
def test_six_rows_by_hand(mixer: Mixer, rows: str) -> None:
    assert seen(mixer, 6) == rows.split()


def test_odd_strided_heads_read_every_second_key() -> None:
    rows = "x..... .x.... x.x... .x.x.. x.x.x. .x.x.x"
    assert seen(Strided(HEADS, stride=2), 6, head=1) == rows.split()


def test_longformer_rows_read_one_of_two_columns_per_token() -> None:
    """Token by token local then global: rows of G read global columns, all others local ones."""
    rows = ".x...... .x.x.... x.x.x... x.x.x.x."
    assert seen(Longformer(HEADS, window=2, n_global=2), 4) == rows.split()
    far = seen(Longformer(HEADS, window=2, n_global=1), 5)[-1]
    assert far == "x.....x.x."


def sinks(
    sinks: int, window: int, limit: Callable[[int, int], int]
) -> Callable[[int, int], int | None]:
    """Distance of recent keys and of sinks; all others are hidden."""

    def distance(i: int, j: int) -> int | None:
        return i - j if i - j < window else limit(i, j) if j < sinks else None

    return distance


def self_extend(i: int, j: int) -> int:
    return i - j if i - j < 10 else math.floor(i / 4) + 10 - math.floor(10 / 4) - math.floor(j / 4)


@pytest.mark.parametrize(
    ("mixer", "distance"),
    [
        (Streaming(HEADS, sinks=3, window=10), sinks(3, 10, lambda i, j: min(i, 3 + 10 - 1) - j)),
        (LambdaMask(HEADS, sinks=3, window=10, limit=10), sinks(3, 10, lambda i, j: 10)),
        (
            LambdaMask(HEADS, sinks=3, window=10, limit=25),
            sinks(3, 10, lambda i, j: min(i - j, 25)),
        ),
        (ReRoPE(HEADS, window=10), lambda i, j: min(i - j, 10)),
        (
            LeakyReRoPE(HEADS, window=10, leak=4.0),
            lambda i, j: i - j if i - j < 10 else 10 + (i - j - 10) / 4,
        ),
        (SelfExtend(HEADS, window=10, group=4), self_extend),
        (Window(HEADS, window=10), sinks(0, 10, max)),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Mixer) else "",
)
def test_rotary_pairs_turn_by_the_distance(
    mixer: Mixer, distance: Callable[[int, int], float | None]
) -> None:
    """A table of distances, one query and one key at a time, turns pairs as complex numbers."""
    x = inputs(40).requires_grad_()
    table = [[distance(i, j) if j <= i else None for j in range(40)] for i in range(40)]
    table = torch.tensor([[math.nan if d is None else d for d in row] for row in table]).double()
    frequency = 100.0 ** (-torch.arange(3).double() / 3)
    wave = torch.polar(torch.ones(()).double(), table.nan_to_num()[..., None] * frequency)
    q, k, v = repeated(mixer.double().project(x))
    q, k = (torch.complex(*y.chunk(2, -1)) for y in (q, k))
    scores = torch.einsum("bhid,bhjd,ijd->bhij", q, k.conj(), wave).real / 6**0.5
    expected = scores.masked_fill(table.isnan(), -torch.inf).softmax(-1) @ v
    out, weight = mixer.mix(placed(mixer, x)), torch.randn(expected.shape)
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
    close(out, expected)
    close(*(torch.autograd.grad((o * weight).sum(), x)[0] for o in (out, expected)))


def test_streaming_is_a_cache_that_counts_positions_inside_itself() -> None:
    """Keys are kept unrotated and turned by their index in the cache, the query by the last one."""
    mixer, x, outputs = Streaming(HEADS, sinks=3, window=8).double(), inputs(40), []
    q, k, v = repeated(mixer.project(x))
    cache: list[int] = []
    for i in range(40):
        cache = (cache if len(cache) < 11 else cache[:3] + cache[4:]) + [i]
        inside = torch.arange(len(cache))
        now = turn(q[:, :, i : i + 1], inside[-1:])
        weights = (now @ turn(k[:, :, cache], inside).mT / 6**0.5).softmax(-1)
        outputs.append(weights @ v[:, :, cache])
    assert torch.allclose(mixer.mix(placed(mixer, x)), torch.cat(outputs, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VISIBLE)
def test_flex_attention_agrees(name: str) -> None:
    """Eager, in blocks; zones of distances as a score_mod, on keys that turn."""
    mixer = variant(name).mixer(HEADS).double().requires_grad_(False)  # theirs has no backward
    p = placed(mixer, inputs())
    far = None
    if "k_far" in p.extra:
        far = p.extra["q_far"] @ p.extra["k_far"].repeat_interleave(2, 1).mT / 6**0.5
    elif "q_far" in p.extra:
        q_far = p.extra["q_far"]
        q_far = q_far if q_far.ndim == 5 else q_far[..., None, :]
        k = p.k[:, :, : mixer.sinks].repeat_interleave(2, 1)
        far = (q_far * k[:, :, None]).sum(-1) / 6**0.5

    def score(near: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        if far is None:
            return near
        return torch.where(i - j < mixer.window, near, far[b, h, i, j.clamp(max=far.shape[-1] - 1)])

    mask = create_block_mask(mask_mod(mixer, VISIBLE[name]), 2, 4, 70, 70, device="cpu")
    theirs = flex_attention(*repeated(p), score_mod=score, block_mask=mask)
    torch.testing.assert_close(mixer.mix(p), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "mixer",
    [
        Window(HEADS, window=70),
        Streaming(HEADS, sinks=4, window=66),
        LambdaMask(HEADS, sinks=4, window=66, limit=70),
        Fixed(HEADS, block=70),
        AtrousLocal(HEADS, reach=70),
        Diag(HEADS, block=70),
        BlockSparse(HEADS, block=70),
        ReRoPE(HEADS, window=70),
        LeakyReRoPE(HEADS, window=7, leak=1.0),
        SelfExtend(HEADS, window=7, group=1),
    ],
    ids=lambda mixer: type(mixer).__name__,
)
def test_wide_enough_they_are_rotary_softmax(mixer: Mixer) -> None:
    plain = Softmax(HEADS).double()
    plain.load_state_dict(mixer.double().state_dict())
    x = inputs()
    a, b = (m.mix(placed(m, x)) for m in (mixer, plain))
    assert torch.allclose(a, b, rtol=0, atol=1e-12)


def test_window_agrees_with_flash_linear_attention() -> None:
    """Both count the query's own key; theirs computes in float32."""
    from fla.ops.attn.naive import naive_parallel_attn

    mixer = Window(HEADS).double()
    p = placed(mixer, inputs())
    theirs = naive_parallel_attn(*sequence_first(*repeated(p)), window_size=mixer.window)[0]
    assert torch.allclose(mixer.mix(p), theirs.double().transpose(1, 2), rtol=0, atol=1e-5)


def test_block_sparse_takes_any_table() -> None:
    table = torch.rand(9, 9) < 0.3
    table.fill_diagonal_(True)
    mixer = BlockSparse(HEADS, block=8, layout=lambda rows, keys: table[rows, keys]).double()
    p = placed(mixer, inputs())
    dense = torch.kron(table, torch.ones(8, 8, dtype=torch.bool))[:70, :70].tril()
    assert torch.equal(mixer.pattern(p)[0, 0] > 0, dense)
    expected = torch.nn.functional.scaled_dot_product_attention(*repeated(p), attn_mask=dense)
    assert torch.allclose(mixer.mix(p), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Window(HEADS, window=0), "window must be at least 1, got 0"),
        (lambda: Streaming(HEADS, sinks=0), "sinks must be at least 1, got 0"),
        (lambda: LambdaMask(HEADS, limit=31), "limit=31 must be at least window=32"),
        (lambda: Longformer(HEADS, window=3), "window must be even"),
        (lambda: Fixed(HEADS, block=2, summary=3), "summary=3 must be at most block=2"),
        (lambda: LeakyReRoPE(HEADS, leak=0.5), "leak must be at least 1, got 0.5"),
        (
            lambda: BlockSparse(HEADS, layout=lambda i, j: i > j).table(3),
            "the layout must show every block to itself",
        ),
    ],
)
def test_impossible_sizes_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("length", [64, 128])
def test_longformer_both_ways_is_transformers(length: int) -> None:
    """Bidirectional, global rows included: the whole sequence at once, no prefixes."""
    mixer = Longformer(HEADS).double()
    x = inputs(length)
    p = mixer.project(x)
    kind = torch.zeros(x.shape[:2])
    kind[:, : mixer.n_global] = 10000
    theirs = longformer_self_attention(mixer, x.shape[-1], HEADS.n_heads)(
        x,
        attention_mask=kind,
        is_index_masked=kind < 0,
        is_index_global_attn=kind > 0,
        is_global_attn=True,
    )[0]
    a = mixer.both_ways(p)
    ours = (a @ mixer.values(p)).transpose(1, 2).flatten(2)
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()  # their softmax is float32
    ahead = a.unflatten(-1, (length, 2)).sum(-1).triu(1)
    assert ahead[..., 10, 20].min() > 0 and not ahead[..., 10, 60].any()
