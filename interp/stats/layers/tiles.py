"""What strips of rows and probed columns of a variant's matrix have in common."""

from jaxtyping import Float, Int
from torch import Tensor, promote_types
from torch import float32 as single

from interp.stats.layers.dots_source import written_norms
from interp.stats.layers.tally import Tally
from interp.stats.wanted import Wanted
from models.attention.contract import Mixer, Projected

ENTRIES = 2**21  # of one tile over all heads; a few copies of it are alive at once


def held(p: Projected) -> int:
    """Bytes of q, k, v and the extras."""
    return sum(x.numel() * x.element_size() for x in (p.q, p.k, p.v, *p.extra.values()))


def as_many(most: int, p: Projected, long: int) -> int:
    """Rows (or columns) of `long` entries per tile: `most`, fewer where a tile would be too big."""
    return max(16, min(most, ENTRIES // (p.q.shape[0] * p.q.shape[1] * long)))


def by_token(a: Float[Tensor, "B H R S"], n_tokens: int) -> Float[Tensor, "B H R C"]:
    """The columns of one token added up, where a variant has several per token."""
    return a if a.shape[-1] == n_tokens else a.unflatten(-1, (n_tokens, -1)).sum(-1)


def tally_for(
    mixer: Mixer,
    p: Projected,
    wanted: Wanted,
    heads: slice = slice(None),
    at: Int[Tensor, " R"] | None = None,
) -> Tally:
    """An empty Tally for some heads, and for the rows at some positions.

    Raises ValueError for `valued` where a token has several values.
    """
    b, h, t = p.q.shape[:3]
    n = len(range(h)[heads])
    return Tally(
        wanted,
        (b, n, t if at is None else len(at)),
        norms(mixer, p)[:, heads] if wanted.valued else None,
        at=at,
        n_keys=t,
        dtype=promote_types(p.q.dtype, single),
        device=p.q.device,
    )


def norms(mixer: Mixer, p: Projected) -> Float[Tensor, "B H S"]:
    """‖v_j W_O‖ of every token's value."""
    n = mixer.traits.keys_per_token
    if n > 1:
        raise ValueError(
            f"valued weighs each token by its one value, and here a token has {n}; leave it out"
        )
    return written_norms(mixer.values(p), mixer.W_O)


def paste(
    out: Float[Tensor, "B R C"],
    tile: Float[Tensor, "B I J"],
    at: tuple[int, int],
    corner: tuple[int, int],
) -> None:
    """Write a tile that starts at A[at] into a picture that starts at A[corner]."""
    low = [max(a, c) for a, c in zip(at, corner, strict=True)]
    ends = zip(at, corner, tile.shape[1:], out.shape[1:], strict=True)
    high = [min(a + n, c + m) for a, c, n, m in ends]
    if high[0] <= low[0] or high[1] <= low[1]:
        return
    into, part = (
        tuple(slice(x - f, y - f) for x, y, f in zip(low, high, first, strict=True))
        for first in (corner, at)
    )
    out[(slice(None), *into)] = tile[(slice(None), *part)]
