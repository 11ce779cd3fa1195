"""The row pass in Triton: one program goes over the keys of a block of queries, once.

State and merge are those of `RowState`, in units of log 2, so that a weight costs one
multiply-add and one exp2. Tiles that every row of the block sees wholly have a loop of their own,
without a mask; the others, at the diagonal and the edges of windows and padding, follow.
"""

from typing import no_type_check

import triton
import triton.language as tl

from interp.stats.kernels.scores import bent, can_see, held, products

NONE = tl.constexpr(-1e30)  # finite: (NONE - m) · 0 stays 0 where minus infinity gave NaN


@triton.jit
@no_type_check
def absorb(
    m, l, e, z, d, f, x, scale, lag, beyond, norm, seen,
    ENTROPY: tl.constexpr, SQUARE: tl.constexpr, DISTANCE: tl.constexpr, VALUED: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """The state after a tile of logits scale · x. The largest is found before the scaling."""
    if MASKED:
        x = tl.where(seen, x, float("-inf"))
    m_new = tl.maximum(m, tl.max(x, 1) * scale)
    t = x * scale - m_new[:, None]
    p = tl.exp2(t)
    fade = tl.exp2(m - m_new)
    mass = tl.sum(p, 1)
    if ENTROPY:
        if MASKED:
            t = tl.where(seen, t, 0.0)
        e = fade * (e + (m - m_new) * l) + tl.sum(p * t, 1)
    if SQUARE:
        z = fade * fade * z + tl.sum(p * p, 1)
    if DISTANCE:
        d = fade * d + tl.sum(p * lag, 1) + beyond * mass
    if VALUED:
        f = fade * f + tl.sum(p * norm[None, :], 1)
    return m_new, fade * l + mass, e, z, d, f


@triton.jit
@no_type_check
def row_tile(
    m, l, e, z, d, f, q, tail, place, high, low, K, K_AT, K_BIAS, NORM,
    tile, k_step, keys, k_low, scale, cap, start, window, sinks,
    D: tl.constexpr, WIDTH: tl.constexpr, TAIL: tl.constexpr, COLUMNS: tl.constexpr,
    CAPPED: tl.constexpr, BIASED: tl.constexpr, WINDOWED: tl.constexpr, UPCAST: tl.constexpr,
    ENTROPY: tl.constexpr, SQUARE: tl.constexpr, DISTANCE: tl.constexpr, VALUED: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """The state after one more tile of keys; without MASKED every row sees all of them."""
    j = tile * COLUMNS
    at = j + tl.arange(0, COLUMNS)
    inside = at < keys
    x = products(q, tail, K, j, keys - j, k_step, COLUMNS, D, WIDTH, TAIL, UPCAST, not MASKED)
    if CAPPED or BIASED or MASKED:
        x = bent(x, scale, cap, CAPPED)
        unit = 1.0
    else:
        unit = scale
    if BIASED:
        # High parts nearly cancel, exactly; then what they left out.
        far = tl.load(K_BIAS + at, inside, 0.0)
        x += (high[:, None] + far[None, :]) + (
            low[:, None] + tl.load(K_BIAS + k_low + at, inside, 0.0)[None, :]
        )
    seen = x
    lag = x
    beyond = m
    norm = m
    if MASKED:
        spot = tl.load(K_AT + at, inside, 0)
        seen = can_see(place[:, None], spot[None, :], start, window, sinks, WINDOWED)
        seen = seen & inside[None, :]
        if DISTANCE:
            lag = (place[:, None] - spot[None, :]).to(tl.float32)
            beyond = tl.zeros_like(m)
    elif DISTANCE:
        # Measured from the tile's last key both parts are positive: nothing cancels.
        last = tl.load(K_AT + j + COLUMNS - 1)
        lag = (last - tl.load(K_AT + at)).to(tl.float32)[None, :]
        beyond = (place - last).to(tl.float32)
    if VALUED:
        if MASKED:
            norm = tl.load(NORM + at, inside, 0.0)
        else:
            norm = tl.load(NORM + at)
    return absorb(
        m, l, e, z, d, f, x, unit, lag, beyond, norm, seen,
        ENTROPY, SQUARE, DISTANCE, VALUED, MASKED,
    )  # fmt: skip


@triton.jit
@no_type_check
def row_pass(
    Q, K, Q_AT, K_AT, START, TILES, Q_BIAS, K_BIAS, NORM, OUT,
    q_batch, q_head, q_step, k_batch, k_head, k_step,
    heads, group, queries, keys, field, q_low, k_low,
    scale, cap, window, sinks,
    D: tl.constexpr, WIDTH: tl.constexpr, TAIL: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    CAPPED: tl.constexpr, BIASED: tl.constexpr, WINDOWED: tl.constexpr, UPCAST: tl.constexpr,
    ENTROPY: tl.constexpr, SQUARE: tl.constexpr, DISTANCE: tl.constexpr, VALUED: tl.constexpr,
):  # fmt: skip
    """Row sums of one block of queries of one head, to OUT[0..5] = m, l, e, z, d, f.

    Q [B,H,T,D], K [B,G,S,D]; Q_AT [T], K_AT [S] positions; START [B]; TILES [B, blocks, 8] from
    `tiles.row_tiles`; biases float32 [2 (high, low), B, H, T or S] in units of log 2; NORM [B,H,S].
    """
    # The last blocks see the most keys: they go first.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    row = batch * heads + head
    first = block * ROWS
    at = first + tl.arange(0, ROWS)
    there = at < queries
    place = tl.load(Q_AT + at, there, -1)
    start = tl.load(START + batch)

    Q += batch * q_batch + head * q_head
    K += batch * k_batch + head // group * k_head
    q = held(Q, first, queries - first, q_step, ROWS, 0, WIDTH, D, UPCAST)
    tail = q
    if TAIL:
        tail = held(Q, first, queries - first, q_step, ROWS, WIDTH, TAIL, D, UPCAST)
    high = place
    low = place
    if BIASED:
        high = tl.load(Q_BIAS + row * queries + at, there, 0.0)
        low = tl.load(Q_BIAS + q_low + row * queries + at, there, 0.0)
        K_BIAS += row * keys
    if VALUED:
        NORM += row * keys

    m = tl.full([ROWS], NONE, tl.float32)
    l = tl.zeros([ROWS], tl.float32)
    e = tl.zeros([ROWS], tl.float32)
    z = tl.zeros([ROWS], tl.float32)
    d = tl.zeros([ROWS], tl.float32)
    f = tl.zeros([ROWS], tl.float32)
    span = TILES + (batch * tl.num_programs(0) + block) * 8
    for tile in range(tl.load(span), tl.load(span + 1)):
        m, l, e, z, d, f = row_tile(
            m, l, e, z, d, f, q, tail, place, high, low, K, K_AT, K_BIAS, NORM,
            tile, k_step, keys, k_low, scale, cap, start, window, sinks,
            D, WIDTH, TAIL, COLUMNS, CAPPED, BIASED, WINDOWED, UPCAST,
            ENTROPY, SQUARE, DISTANCE, VALUED, False,
        )  # fmt: skip
    n_sinks = tl.load(span + 3) - tl.load(span + 2)
    n_before = tl.load(span + 5) - tl.load(span + 4)
    n_after = tl.load(span + 7) - tl.load(span + 6)
    for edge in range(0, n_sinks + n_before + n_after):
        tile = tl.load(span + 2) + edge
        if edge >= n_sinks:
            tile = tl.load(span + 4) + edge - n_sinks
        if edge >= n_sinks + n_before:
            tile = tl.load(span + 6) + edge - n_sinks - n_before
        m, l, e, z, d, f = row_tile(
            m, l, e, z, d, f, q, tail, place, high, low, K, K_AT, K_BIAS, NORM,
            tile, k_step, keys, k_low, scale, cap, start, window, sinks,
            D, WIDTH, TAIL, COLUMNS, CAPPED, BIASED, WINDOWED, UPCAST,
            ENTROPY, SQUARE, DISTANCE, VALUED, True,
        )  # fmt: skip

    # Field by field: a multiple of `field` may be more than 32 bits hold.
    out = OUT + row * queries + at
    # A row that saw nothing must not look as if it had seen a key of logit NONE.
    tl.store(out, tl.where(l > 0, m, float("-inf")), there)
    out += field
    tl.store(out, l, there)
    out += field
    if ENTROPY:
        tl.store(out, e, there)
    out += field
    if SQUARE:
        tl.store(out, z, there)
    out += field
    if DISTANCE:
        tl.store(out, d, there)
    out += field
    if VALUED:
        tl.store(out, f, there)
