"""The column pass in Triton: one program goes over the queries that may read a block of keys.

Every sum has one program as its owner, which adds in a fixed order: no atomics, and the same
numbers on every run. Query tiles never straddle a block of the heat map (`tiles.query_tiles`).
"""

from typing import no_type_check

import triton
import triton.language as tl

from interp.stats.kernels.scores import bent, can_see, held, products


@triton.jit
@no_type_check
def column_tile(
    total, cell, cell_sum, cell_peak, k, tail, spot, inside, high, low, span,
    Q, Q_AT, Q_TILES, LSE, Q_BIAS, SUMS, PEAKS,
    tile, q_step, queries, q_low, scale, cap, start, window, sinks,
    D: tl.constexpr, WIDTH: tl.constexpr, TAIL: tl.constexpr, ROWS: tl.constexpr,
    CAPPED: tl.constexpr, BIASED: tl.constexpr, WINDOWED: tl.constexpr, UPCAST: tl.constexpr,
    BLOCKS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Column sums and the current block of the heat map after one more tile of queries."""
    i = tile * ROWS
    here = cell
    if BLOCKS:
        i = tl.load(Q_TILES + tile * 3)
        here = tl.load(Q_TILES + tile * 3 + 2)
    at = i + tl.arange(0, ROWS)
    there = at < queries
    x = products(k, tail, Q, i, queries - i, q_step, ROWS, D, WIDTH, TAIL, UPCAST, False)
    x = bent(x, scale, cap, CAPPED)
    if BIASED:
        x += (high[:, None] + tl.load(Q_BIAS + at, there, 0.0)[None, :]) + (
            low[:, None] + tl.load(Q_BIAS + q_low + at, there, 0.0)[None, :]
        )
    # Rows that are not of the tile, or see no key, have an infinite lse there: weights of zero.
    lse = tl.load(LSE + tile * ROWS + tl.arange(0, ROWS))
    if MASKED:
        place = tl.load(Q_AT + at, there, -1)
        seen = can_see(place[None, :], spot[:, None], start, window, sinks, WINDOWED)
        x = tl.where(seen, x, float("-inf"))
    p = tl.exp2(x - lse[None, :])
    part = tl.sum(p, 1)
    if BLOCKS:
        fresh = here != cell
        cell_sum = tl.where(fresh, 0.0, cell_sum) + tl.sum(tl.where(inside, part, 0.0), 0)
        peak = tl.max(tl.where(inside, tl.max(p, 1), 0.0), 0)
        cell_peak = tl.maximum(tl.where(fresh, 0.0, cell_peak), peak)
        # Stored at every tile: the last one of a block leaves the block's figure.
        tl.store(SUMS + span + here, cell_sum)
        tl.store(PEAKS + span + here, cell_peak)
    return total + part, here, cell_sum, cell_peak


@triton.jit
@no_type_check
def column_pass(
    Q, K, Q_AT, K_AT, START, TILES, Q_TILES, K_TILES, LSE, Q_BIAS, K_BIAS, RECEIVED, SUMS, PEAKS,
    q_batch, q_head, q_step, k_batch, k_head, k_step,
    heads, group, queries, keys, q_low, k_low, q_tiles, cells,
    scale, cap, window, sinks,
    D: tl.constexpr, WIDTH: tl.constexpr, TAIL: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    CAPPED: tl.constexpr, BIASED: tl.constexpr, WINDOWED: tl.constexpr, UPCAST: tl.constexpr,
    BLOCKS: tl.constexpr,
):  # fmt: skip
    """Σ_i A_ij of one block of keys of one head, and its row of the heat map.

    LSE [B, H, q_tiles, ROWS] in units of log 2; TILES [B, blocks, 4] from `tiles.column_tiles`,
    Q_TILES [q_tiles, 3] and K_TILES [blocks, 3] first, end and cell of each; RECEIVED [B,H,S];
    SUMS and PEAKS [B,H,blocks,cells], of which only cells with a visible tile are written.
    """
    block = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    row = batch * heads + head
    first = tl.load(K_TILES + block * 3)
    end = tl.load(K_TILES + block * 3 + 1)
    at = first + tl.arange(0, COLUMNS)
    inside = at < end
    spot = tl.load(K_AT + at, inside, 0)
    start = tl.load(START + batch)

    Q += batch * q_batch + head * q_head
    K += batch * k_batch + head // group * k_head
    LSE += row * q_tiles * ROWS
    k = held(K, first, end - first, k_step, COLUMNS, 0, WIDTH, D, UPCAST)
    tail = k
    if TAIL:
        tail = held(K, first, end - first, k_step, COLUMNS, WIDTH, TAIL, D, UPCAST)
    high = spot.to(tl.float32)
    low = high
    if BIASED:
        Q_BIAS += row * queries
        high = tl.load(K_BIAS + row * keys + at, inside, 0.0)
        low = tl.load(K_BIAS + k_low + row * keys + at, inside, 0.0)

    total = tl.zeros([COLUMNS], tl.float32)
    cell = -1
    cell_sum = 0.0
    cell_peak = 0.0
    mine = (row * tl.num_programs(0) + block) * cells
    span = TILES + (batch * tl.num_programs(0) + block) * 4
    for tile in range(tl.load(span), tl.load(span + 1)):
        total, cell, cell_sum, cell_peak = column_tile(
            total, cell, cell_sum, cell_peak, k, tail, spot, inside, high, low, mine,
            Q, Q_AT, Q_TILES, LSE, Q_BIAS, SUMS, PEAKS,
            tile, q_step, queries, q_low, scale, cap, start, window, sinks,
            D, WIDTH, TAIL, ROWS, CAPPED, BIASED, WINDOWED, UPCAST, BLOCKS, True,
        )  # fmt: skip
    for tile in range(tl.load(span + 1), tl.load(span + 2)):
        total, cell, cell_sum, cell_peak = column_tile(
            total, cell, cell_sum, cell_peak, k, tail, spot, inside, high, low, mine,
            Q, Q_AT, Q_TILES, LSE, Q_BIAS, SUMS, PEAKS,
            tile, q_step, queries, q_low, scale, cap, start, window, sinks,
            D, WIDTH, TAIL, ROWS, CAPPED, BIASED, WINDOWED, UPCAST, BLOCKS, False,
        )  # fmt: skip
    if WINDOWED:
        for tile in range(tl.load(span + 2), tl.load(span + 3)):
            total, cell, cell_sum, cell_peak = column_tile(
                total, cell, cell_sum, cell_peak, k, tail, spot, inside, high, low, mine,
                Q, Q_AT, Q_TILES, LSE, Q_BIAS, SUMS, PEAKS,
                tile, q_step, queries, q_low, scale, cap, start, window, sinks,
                D, WIDTH, TAIL, ROWS, CAPPED, BIASED, WINDOWED, UPCAST, BLOCKS, True,
            )  # fmt: skip
    tl.store(RECEIVED + row * keys + at, total, inside)
