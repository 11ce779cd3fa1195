"""Head view component: one head's attention matrix with a linked token strip."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from jaxtyping import Float, UInt16

from app.components.wire import pack, script, style

_HTML = """<div class="head-view" data-testid="head-view">
  <div class="title" data-testid="head-view-title"></div>
  <div class="matrix" data-testid="head-view-matrix" role="img">
    <canvas class="base"></canvas><canvas class="cross"></canvas>
  </div>
  <div class="note" data-testid="head-view-note"></div>
  <div class="strip" data-testid="head-view-strip" role="toolbar" aria-label="tokens"></div>
  <div class="legend" data-testid="head-view-legend">
    <span><i class="swatch reads"></i> top, orange: what the token reads</span>
    <span><i class="swatch readers"></i> bottom, blue: who reads it</span>
    <span>click to pin, Esc to unpin</span>
  </div>
  <div class="summary" data-testid="head-view-summary"></div>
  <div class="unseen" data-testid="head-view-live" aria-live="polite"></div>
  <div class="tip" data-testid="head-view-tip" hidden></div>
</div>
"""

_component = st.components.v2.component(
    "headlamp_head_view",
    html=_HTML,
    css=style("head_view"),
    js=script("head_view", "head_view_hover"),
)


def _quantise(
    pattern: Float[np.ndarray, "R C"],
) -> tuple[float, float, UInt16[np.ndarray, "R C"]]:
    """Low, high and codes with value = low + (high - low) * code / 65535; zero stays exact."""
    low, high = float(pattern.min(initial=0)), float(pattern.max(initial=0))
    if low < 0:
        # Code 32767 is then zero, so masked entries are not a small number.
        low = -max(-low, high)
        high = -low * 32768 / 32767
    high = high or 1.0
    return low, high, np.rint((pattern - low) * (65535 / (high - low))).astype("<u2")


def reads_no_later(pattern: Float[np.ndarray, "T T"]) -> bool:
    """No query reads a later key, of two tokens or more: the rest can be hatched."""
    return len(pattern) > 1 and not np.triu(pattern, 1).any()


def _runs(tokens: Sequence[str], *spans: tuple[int, int]) -> list[tuple[int, list[str]]]:
    """First token and labels of each stretch that the spans cover, from the left."""
    covered = sorted({t for first, end in spans for t in range(first, end)})
    starts = [t for t, before in zip(covered, [None, *covered], strict=False) if t - 1 != before]
    ends = [t + 1 for t, after in zip(covered, [*covered[1:], None], strict=True) if t + 1 != after]
    return [(first, list(tokens[first:end])) for first, end in zip(starts, ends, strict=True)]


def head_view(  # noqa: PLR0913 - one keyword per thing the browser needs
    *,
    key: str,
    label: str,
    pattern: Float[np.ndarray, "R C"],
    tokens: Sequence[str],
    color_max: float,
    signed: bool,
    causal: bool,
    sink_slot: Float[np.ndarray, " R"] | None,
    stride: int,
    pinned: int | None,
    on_pin: Callable[[], None],
    at: tuple[int, int] | None = None,
    waiting: bool = False,
) -> None:
    """Show one head; (un)pinning a token runs `on_pin`, which reads `st.session_state[key].pin`.

    key: Streamlit key; `st.session_state[key].pin` is a token index, or -1 for "unpinned".
    pattern: weights, query rows by key columns, shape (R, C), all finite. Square, unless `at`.
    tokens: visible label of every token of the prompt (`stride` tokens per row of `pattern`).
    color_max: |weight| drawn in full colour; 1 is taken when it is not positive.
    causal: a query reads no later key; those are hatched.
    sink_slot: weight each query gives to a learned sink (1 - row sum), drawn as its own column.
    stride: each pixel is the largest weight in a block of stride x stride tokens; 1 for none.
    pinned: token shown until another one is pointed at; None or an index out of range for none.
    at: first query and first key of a window; None where `pattern` is the whole matrix.
    waiting: what is drawn is about to be replaced, and greyed until then.
    """
    (rows, columns), (query, first_key) = pattern.shape, at or (0, 0)
    spans = [(query, query + rows * stride), (first_key, first_key + columns * stride)]
    fits = rows == columns == -(-len(tokens) // stride)
    if at is not None:
        fits = stride == 1 and all(0 <= first and end <= len(tokens) for first, end in spans)
    if not fits:
        raise ValueError(
            f"pattern {pattern.shape} at {at} does not fit {len(tokens)} tokens, stride {stride}"
        )
    if not np.isfinite(pattern).all():
        raise ValueError("pattern has values that are not finite")
    low, high, codes = _quantise(np.asarray(pattern, np.float64))
    header = {
        "label": label,
        "rows": rows,
        "columns": columns,
        "query": query,
        "key": first_key,
        "part": at is not None,
        "low": low,
        "high": high,
        "causal": causal,
        "runs": _runs(tokens, *((first, min(end, len(tokens))) for first, end in spans)),
        "color_max": float(color_max) if color_max > 0 else 1.0,
        "signed": signed,
        "sink": None if sink_slot is None else [float(f"{v:.6g}") for v in sink_slot],
        "stride": stride,
        "pinned": pinned if pinned in range(len(tokens)) else None,
        "waiting": waiting,
    }
    _component(key=key, data=pack(header, codes.tobytes()), on_pin_change=on_pin)
