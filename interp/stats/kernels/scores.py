"""What both passes share in Triton: loading operands, scores in units of log 2, visibility.

Kernels are source text to Triton, so nothing may wrap them: no types are checked at run time.
"""

from typing import no_type_check

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
@no_type_check
def held(
    X,
    first,
    count,
    stride,
    BLOCK: tl.constexpr,
    FROM: tl.constexpr,
    WIDTH: tl.constexpr,
    D: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """The operand that stays, [BLOCK, WIDTH]: dimensions FROM.. of `count` tokens from `first`."""
    at = tl.arange(0, BLOCK)
    dim = FROM + tl.arange(0, WIDTH)
    there = (at[:, None] < count) & (dim[None, :] < D)
    x = tl.load(X + first.to(tl.int64) * stride + at[:, None] * stride + dim[None, :], there, 0.0)
    if UPCAST:
        x = x.to(tl.float32)
    return x


@triton.jit
@no_type_check
def moved(
    X,
    first,
    count,
    stride,
    BLOCK: tl.constexpr,
    FROM: tl.constexpr,
    WIDTH: tl.constexpr,
    D: tl.constexpr,
    UPCAST: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """The operand that changes in the loop, [WIDTH, BLOCK]; WHOLE: no token of it is missing."""
    at = tl.arange(0, BLOCK)
    dim = FROM + tl.arange(0, WIDTH)
    where = X + first.to(tl.int64) * stride + at[None, :] * stride + dim[:, None]
    if WHOLE:
        if FROM + WIDTH <= D:
            x = tl.load(where)
        else:
            x = tl.load(where, dim[:, None] < D, 0.0)
    else:
        x = tl.load(where, (at[None, :] < count) & (dim[:, None] < D), 0.0)
    if UPCAST:
        x = x.to(tl.float32)
    return x


@triton.jit
@no_type_check
def products(
    near,
    near_tail,
    X,
    first,
    count,
    stride,
    BLOCK: tl.constexpr,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    TAIL: tl.constexpr,
    UPCAST: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Dot products of what stays with what moves. A width like 80 goes as 64 + 16, not as 128."""
    far = moved(X, first, count, stride, BLOCK, 0, WIDTH, D, UPCAST, WHOLE)
    s = tl.dot(near, far, input_precision="ieee")
    if TAIL:
        far = moved(X, first, count, stride, BLOCK, WIDTH, TAIL, D, UPCAST, WHOLE)
        s = tl.dot(near_tail, far, acc=s, input_precision="ieee")
    return s


@triton.jit
@no_type_check
def tanh(x):
    """tanh to float32's accuracy: its fifth continued fraction below 1, exponentials above.

    Through exponentials alone small x would lose their digits.
    """
    x2 = x * x
    small = x * (945.0 + x2 * (105.0 + x2)) / (945.0 + x2 * (420.0 + 15.0 * x2))
    size = tl.abs(x)
    large = 1.0 - 2.0 / (tl.exp2(tl.minimum(size, 20.0) * (2.0 * LOG2E)) + 1.0)
    return tl.where(size < 1.0, small, tl.where(x < 0, -large, large))


@triton.jit
@no_type_check
def bent(s, scale, cap, CAPPED: tl.constexpr):
    """Scaled logits in units of log 2: scale · s, or cap · tanh(scale · s)."""
    if CAPPED:
        x = cap * tanh(s * scale)
    else:
        x = s * scale
    return x


@triton.jit
@no_type_check
def can_see(row, key, start, window, sinks, WINDOWED: tl.constexpr):
    """Which positions `row` may read which positions `key`, broadcast; a row of -1 reads none."""
    seen = (key <= row) & (key >= start)
    if WINDOWED:
        seen = seen & ((row - key < window) | (key < sinks))
    return seen
