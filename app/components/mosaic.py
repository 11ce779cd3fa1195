"""One PNG with the attention thumbnail of every head, for the head grid."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image

# The same blue and orange as INK and NEGATIVE in common.js.
_BLUE = (34, 139, 230)
_ORANGE = (232, 89, 12)


def mosaic_png(thumbs: Float[np.ndarray, "L H S S"], signed: bool) -> bytes:
    """PNG of S x S tiles, one row per layer and one column per head; opacity is the weight.

    Opacity is sqrt(weight) with weights cut to [0, 1]. Signed patterns are divided by the
    head's largest |weight| first; positive is blue, negative is orange. NaN is drawn empty.
    """
    layers, heads, side, _ = thumbs.shape
    weights = np.nan_to_num(thumbs)
    if signed:
        peak = np.abs(weights).max(axis=(2, 3), keepdims=True)
        weights = weights / np.where(peak > 0, peak, 1)
    opacity = np.sqrt(np.minimum(np.abs(weights), 1) if signed else np.clip(weights, 0, 1))
    # A palette image is the smallest and fastest PNG: the index carries hue and opacity.
    if signed:
        index = (np.rint(opacity * 127) + 128 * (weights < 0)).astype(np.uint8)
        palette = _BLUE * 128 + _ORANGE * 128
        alpha = bytes(round(i * 255 / 127) for i in range(128)) * 2
    else:
        index = np.rint(opacity * 255).astype(np.uint8)
        palette = _BLUE * 256
        alpha = bytes(range(256))
    picture = Image.fromarray(index.transpose(0, 2, 1, 3).reshape(layers * side, heads * side))
    picture.putpalette(palette)
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=alpha, compress_level=1)
    return out.getvalue()
