"""Relative positions against literal loops, the authors' two passes, and a simulated cache."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.positions import SCHEMES, Rope, rotate, scheme
from models.positions.relative import METHODS, Setting, angles, method

SETTINGS = [
    Setting(length=1),
    Setting(length=23, trained=7, factor=2.5, window=5, group=3, sinks=2),
    Setting(length=40, trained=11, factor=16.0, window=1, group=8, sinks=0),
    Setting(length=17, trained=30, factor=1.0, window=17, group=1, sinks=3),
    Setting(length=12, trained=4, factor=3.0, window=6, group=5, sinks=20),
]
LOOPS: dict[str, Callable[[int, int, Setting], float | None]] = {
    "rope": lambda i, j, s: i - j,
    "pi": lambda i, j, s: i / s.factor - j / s.factor,
    "ntk": lambda i, j, s: i - j,
    "dynamic-ntk": lambda i, j, s: i - j,
    "yarn": lambda i, j, s: i - j,
    "rerope": lambda i, j, s: i - j if i - j < s.window else s.window,
    "leaky-rerope": lambda i, j, s: (
        i - j if i - j < s.window else s.window + (i - j - s.window) / s.factor
    ),
    "self-extend": lambda i, j, s: (
        i - j
        if i - j < s.window
        else (i // s.group + s.window - s.window // s.group) - j // s.group
    ),
    "window": lambda i, j, s: i - j if i - j < s.window else None,
    "lambda-mask": lambda i, j, s: (
        (i - j if i - j < s.trained else s.trained) if j < s.sinks or i - j < s.window else None
    ),
}


def in_loops(name: str, s: Setting) -> Tensor:
    """Entry by entry."""
    rel = torch.full((s.length, s.length), torch.nan, dtype=torch.float64)
    for i in range(s.length):
        for j in range(i + 1):
            distance = LOOPS[name](i, j, s)
            if distance is not None:
                rel[i, j] = distance
    return rel


def simulated_cache(s: Setting) -> Tensor:
    """StreamingLLM as it decodes: keys join at the end, and the oldest but the sinks leaves."""
    rel = torch.full((s.length, s.length), torch.nan, dtype=torch.float64)
    cache: list[int] = []
    for i in range(s.length):
        cache.append(i)
        if len(cache) > s.sinks + s.window:
            del cache[s.sinks]
        for slot, token in enumerate(cache):
            rel[i, token] = cache.index(i) - slot
    return rel


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("s", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("name", METHODS)
def test_every_matrix_is_its_loop(name: str, s: Setting) -> None:
    same(METHODS[name].rel(s), simulated_cache(s) if name == "streaming" else in_loops(name, s))


def test_the_distances_of_the_last_of_eight_tokens_by_hand() -> None:
    s, nan = Setting(length=8, trained=3, factor=2.0, window=3, group=2, sinks=1), torch.nan
    rows = {
        "pi": [3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0],
        "rerope": [3, 3, 3, 3, 3, 2, 1, 0],
        "leaky-rerope": [5, 4.5, 4, 3.5, 3, 2, 1, 0],
        "self-extend": [5, 5, 4, 4, 3, 2, 1, 0],
        "window": [nan, nan, nan, nan, nan, 2, 1, 0],
        "lambda-mask": [3, nan, nan, nan, nan, 2, 1, 0],
        "streaming": [3, nan, nan, nan, nan, 2, 1, 0],
    }
    for name, row in rows.items():
        same(method(name).rel(s)[-1], torch.tensor(row).double())


def test_leaky_rerope_lies_between_rope_and_rerope() -> None:
    s = Setting(length=50, window=9)
    leaky = [method("leaky-rerope").rel(replace(s, factor=f)) for f in (1.0, 1e12)]
    same(leaky[0], method("rope").rel(s))
    torch.testing.assert_close(leaky[1], method("rerope").rel(s), equal_nan=True)


def logits(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x rotated to some positions against x rotated to others."""
    q, k = rotate(x, rows, 10000.0), rotate(x, columns, 10000.0)
    return (q @ k.mT)[0, 0]


def by_matrix(x: Tensor, rel: Tensor) -> Tensor:
    """The same with one rotation per entry, by the matrix."""
    turned = [rotate(x, row.nan_to_num(), 10000.0)[0, 0] for row in rel.T]  # every query, one key
    return torch.stack([q @ k for q, k in zip(turned, x[0, 0], strict=True)], 1)


@pytest.mark.parametrize("name", ["self-extend", "leaky-rerope"])
def test_the_authors_two_passes_apply_this_matrix(name: str) -> None:
    """Near keys from plain RoPE, far ones from other positions of q and k; a mask joins the two."""
    s = Setting(length=30, window=7, group=3, factor=5.0)
    x, at = torch.randn(1, 1, 30, 8).double(), torch.arange(30)
    if name == "self-extend":
        far = logits(x, at // 3 + 7 - 7 // 3, at // 3)
    else:
        far = logits(x, (at.double() - 7) / 5 + 7, at.double() / 5)
    near = at[:, None] - at < 7
    expected = torch.where(near, logits(x, at, at), far)
    ours = by_matrix(x, method(name).rel(s))
    torch.testing.assert_close(ours.tril(), expected.tril())
    assert (logits(x, at, at) - expected).tril().abs().max() > 0.1


def test_no_method_reads_beyond_what_it_says() -> None:
    s = Setting(length=40, trained=16, factor=3.0, window=6, group=3, sinks=2)
    moved = dict(trained=30, factor=5.0, window=8, group=4, sinks=3)
    for name, found in METHODS.items():
        before = [angles(name, s, pair, d=16) for pair in range(8)]
        for field, value in moved.items():
            other = replace(s, **{field: value})
            after = [angles(name, other, pair, d=16) for pair in range(8)]
            alike = all(
                map(lambda a, b: torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)), before, after)
            )
            assert alike is (field not in found.reads), (name, field)


@pytest.mark.parametrize("name", ["pi", "ntk", "dynamic-ntk", "yarn"])
def test_angles_are_those_of_the_scheme(name: str) -> None:
    s = Setting(length=20, trained=8, factor=2.0)
    theta = scheme(name).frequencies(12, Rope(base=500.0, factor=2.0, trained=8), torch.arange(20))
    for pair in range(6):
        found = angles(name, s, pair, d=12, base=500.0)
        lag = torch.arange(20)[:, None] - torch.arange(20)
        torch.testing.assert_close(found.nan_to_num(), (lag * theta[pair]).tril())
    assert METHODS[name].title == SCHEMES[name].title


def test_interpolation_agrees_with_ntk_at_the_slowest_pair_only() -> None:
    s = Setting(length=20, factor=4.0)
    same(angles("pi", s, 7, d=16), angles("ntk", s, 7, d=16))
    same(angles("rope", s, 0, d=16), angles("ntk", s, 0, d=16))
    assert (angles("pi", s, 0, d=16) - angles("ntk", s, 0, d=16)).abs().nan_to_num().max() > 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(length=0), "length must be at least 1, got 0"),
        (dict(trained=0), "trained must be at least 1, got 0"),
        (dict(window=-1), "window must be at least 1, got -1"),
        (dict(group=0), "group must be at least 1, got 0"),
        (dict(sinks=-1), "sinks must be 0 or more, got -1"),
        (dict(factor=0.9), "factor must be finite and at least 1, got 0.9"),
        (dict(factor=float("nan")), "got nan"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Setting(**fields)


def test_unknown_methods_and_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="'alibi'; choose one of rope, pi, .*streaming"):
        method("alibi")
    for pair in (-1, 8):
        with pytest.raises(ValueError, match=f"width 16 have pairs 0 to 7, got pair {pair}"):
            angles("rope", Setting(), pair, d=16)
