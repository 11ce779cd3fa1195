"""One head on a long prompt: its matrix at a glance, and a window of it at full resolution."""

import numpy as np
import streamlit as st
from jaxtyping import Float

from app import state
from app.components.head_overview import head_overview
from app.components.head_view import head_view, reads_no_later
from app.scene import Scene
from app.state import Selection, Zoom
from interp.engine.works import WINDOW, HeadOverview, HeadWindow

DEFAULT = 256  # tokens of a window each way, where nothing was chosen


def long_head(scene: Scene, selection: Selection, here: tuple[int, int]) -> None:
    """Overview and window; the last ones are greyed while the next are on their way."""
    zoom = zoom_of(selection, len(scene.tokens.ids))
    overview = scene.overview(*here)
    window = scene.window(*here, zoom) if overview else None
    prompt = scene.card.digest, scene.tokens.ids
    found = (overview, window) if window else None
    shown_prompt, shown = st.session_state.get("long_head", (None, None))
    if found:
        st.session_state["long_head"] = prompt, found
    elif shown_prompt != prompt:
        st.caption(f"The matrix of L{here[0]}H{here[1]} is on its way ...")
        return
    draw(scene, selection, zoom, *(found or shown), waiting=not found)


def draw(
    scene: Scene,
    selection: Selection,
    zoom: Zoom,
    overview: HeadOverview,
    window: HeadWindow,
    waiting: bool,
) -> None:
    """Both pictures and what they mean."""
    label = f"L{window.layer}H{window.head}"
    first = int(selection.clipped)
    signed = not scene.card.reads_shares
    causal = reads_no_later(overview.pattern)
    head_overview(
        key="overview",
        label=f"L{overview.layer}H{overview.head}",
        pattern=overview.pattern,
        side=overview.side,
        tokens=len(scene.tokens.ids),
        color_max=full_colour(overview.pattern[:, first:]),
        signed=signed,
        causal=causal,
        window=zoom,
        on_move=lambda: moved(st.session_state["overview"].window),
    )
    (r0, r1), (k0, k1) = window.rows, window.keys
    coloured = window.pattern[:, first:] if k0 == 0 else window.pattern
    head_view(
        key="window",
        label=f"{label}, queries {r0:,}–{r1 - 1:,} × keys {k0:,}–{k1 - 1:,}",
        pattern=window.pattern,
        tokens=scene.tokens.labels,
        color_max=float(np.abs(coloured).max(initial=0.0)),
        signed=signed,
        causal=causal,
        sink_slot=scene.sink_slot(window.layer, window.head, window.rows),
        stride=1,
        pinned=selection.pin,
        on_pin=lambda: pinned(st.session_state["window"].pin, zoom=zoom),
        at=(r0, k0),
        waiting=waiting,
    )


def full_colour(pattern: Float[np.ndarray, "P C"]) -> float:
    """The largest |weight| of an overview, but for the first eighth of its rows.

    The first queries share their attention among few keys; on their scale, a head that spreads
    its attention would be blank from there on.
    """
    return float(np.abs(pattern[len(pattern) // 8 :]).max(initial=0.0))


def zoom_of(selection: Selection, tokens: int) -> Zoom:
    """The link's window if the prompt has it, else one around the pin, else the last tokens."""
    if selection.zoom and fits(selection.zoom, tokens):
        return selection.zoom
    pin = selection.pin if selection.pin is not None and selection.pin < tokens else tokens
    first = max(0, min(pin - DEFAULT // 2, tokens - DEFAULT))
    end = min(tokens, first + DEFAULT)
    return first, end, first, end


def fits(zoom: Zoom, tokens: int) -> bool:
    """A window lies inside the prompt and is not too large."""
    r0, r1, k0, k1 = zoom
    return max(r1, k1) <= tokens and max(r1 - r0, k1 - k0) <= WINDOW


def moved(window: list[int] | None) -> None:
    """The window was moved or resized."""
    if window is not None:
        state.change(zoom=tuple(int(t) for t in window))


def pinned(pin: int | None, **stays: object) -> None:
    """A token was pinned (-1: unpinned); `stays` are fields that would follow it otherwise."""
    if pin is not None:
        state.change(pin=int(pin) if pin >= 0 else None, **stays)
