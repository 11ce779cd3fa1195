"""Head grid component: all heads of a model as small attention pictures to pick from."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from jaxtyping import Float

from app.components.wire import pack, script, style

_HTML = """<div class="head-grid">
  <div class="legend" data-testid="head-grid-legend">
    <span class="name"></span>
    <span class="low"></span><span class="ramp"></span><span class="high"></span>
    <span class="undefined"><i class="hatch"></i> not defined</span>
  </div>
  <div class="box" data-testid="head-grid" role="grid" tabindex="0"
       aria-activedescendant="focused-head">
    <div class="sheet" role="row">
      <canvas data-testid="head-grid-canvas" aria-hidden="true"></canvas>
      <div class="ring" id="focused-head" data-testid="head-grid-ring" role="gridcell"></div>
    </div>
  </div>
  <div class="note" data-testid="head-grid-note"></div>
  <div class="unseen" data-testid="head-grid-live" aria-live="polite"></div>
  <div class="tip" data-testid="head-grid-tip" hidden></div>
</div>
"""

_component = st.components.v2.component(
    "headlamp_head_grid", html=_HTML, css=style("head_grid"), js=script("head_grid")
)


def _rounded(values: Float[np.ndarray, "L H"]) -> list[list[float | None]]:
    """Six digits are enough for tints and labels; None stands for "not defined"."""
    return [[float(f"{v:.6g}") if np.isfinite(v) else None for v in row] for row in values]


def head_grid(  # noqa: PLR0913 - one keyword per thing the browser needs
    *,
    key: str,
    mosaic: bytes,
    tile: int,
    n_layers: int,
    n_heads: int,
    group_size: int,
    values: Float[np.ndarray, "L H"],
    order: Sequence[tuple[int, int]] | None,
    selected: tuple[int, int],
    metric: str,
    unit: str,
    captions: Sequence[Sequence[str]],
    signed: bool,
    on_pick: Callable[[], None],
    measured: int | None = None,
) -> None:
    """Show the grid; a click or Enter runs `on_pick`, which reads `st.session_state[key].pick`.

    key: Streamlit key; `st.session_state[key].pick` is `[layer, head]`.
    mosaic: PNG from `mosaic_png`, tiles of `tile` x `tile` pixels.
    group_size: consecutive query heads that share one key/value head; 1 for none.
    values: the metric, shape (L, H); NaN means "not defined" and is hatched.
    order: None for layers x heads, or (layer, head) pairs to show strongest first.
    captions: tooltip text per layer and head; may hold line breaks.
    signed: the attention patterns have two colours (blue positive, orange negative).
    measured: layers read so far, the others are empty places; None: all of them.
    """
    header = {
        "tile": tile,
        "n_layers": n_layers,
        "n_heads": n_heads,
        "group_size": group_size,
        "values": _rounded(values),
        "order": None if order is None else [[int(layer), int(head)] for layer, head in order],
        "selected": [int(i) for i in selected],
        "metric": metric,
        "unit": unit,
        "captions": [list(row) for row in captions],
        "signed": signed,
        "measured": n_layers if measured is None else measured,
    }
    _component(key=key, data=pack(header, mosaic), on_pick_change=on_pick)
