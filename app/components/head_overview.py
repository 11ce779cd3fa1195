"""Head overview component: the whole matrix of a long prompt, with a window on it to move."""

from collections.abc import Callable

import numpy as np
import streamlit as st
from jaxtyping import Float

from app.components.mosaic import mosaic_png
from app.components.wire import pack, script, style

_HTML = """<div class="head-overview">
  <div class="map" data-testid="head-overview" role="group" tabindex="0">
    <canvas aria-hidden="true"></canvas>
    <div class="pane" data-testid="head-overview-pane"></div>
  </div>
  <div class="side">
    <div class="title" data-testid="head-overview-title"></div>
    <div class="where" data-testid="head-overview-where"></div>
    <div class="keys">
      <button type="button" data-testid="head-overview-smaller">Smaller window</button>
      <button type="button" data-testid="head-overview-larger">Larger window</button>
    </div>
    <div class="note" data-testid="head-overview-note"></div>
  </div>
  <div class="unseen" data-testid="head-overview-live" aria-live="polite"></div>
</div>
"""

_component = st.components.v2.component(
    "headlamp_head_overview",
    html=_HTML,
    css=style("head_overview"),
    js=script("head_overview"),
)


def head_overview(
    *,
    key: str,
    label: str,
    pattern: Float[np.ndarray, "P P"],
    side: int,
    tokens: int,
    color_max: float,
    signed: bool,
    causal: bool,
    window: tuple[int, int, int, int],
    on_move: Callable[[], None],
) -> None:
    """Show a matrix at a glance; moving the window runs `on_move`.

    key: Streamlit key; `st.session_state[key].window` is the window moved to: first query, the one
        past the last, first key, the one past the last.
    pattern: the entry of largest |weight| of each block of `side` x `side` tokens.
    tokens: length of the prompt.
    color_max: |weight| drawn in full colour; 1 is taken when it is not positive.
    signed: two colours, blue positive and orange negative.
    causal: a query reads no later key, so the window stays where there is something to see.
    window: what is shown at full resolution.
    """
    full = float(color_max) if color_max > 0 else 1.0
    header = {
        "label": label,
        "pixels": len(pattern),
        "side": side,
        "tokens": tokens,
        "color_max": full,
        "signed": signed,
        "causal": causal,
        "window": list(window),
    }
    picture = mosaic_png(np.clip(pattern / full, -1, 1)[None, None], signed)
    _component(key=key, data=pack(header, picture), on_window_change=on_move)
