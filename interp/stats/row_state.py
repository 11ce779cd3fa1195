"""RowState: what has been seen of some rows' weights so far; merging two is associative."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Sums over some keys of rows: w = |A|. Rows that see none of the keys have zeros."""

    mass: Float[Tensor, "B H T"]  # Σ w
    peak: Float[Tensor, "B H T"]  # max w
    log: Float[Tensor, "B H T"] | None = None  # Σ w ln w
    square: Float[Tensor, "B H T"] | None = None  # Σ w²

    @property
    def entropy(self) -> Float[Tensor, "B H T"]:
        """-Σ p ln p of p = w / Σw, in nats; NaN for rows without mass."""
        return (self.mass.log() - self.log / self.mass).clamp_min(0)

    @property
    def participation(self) -> Float[Tensor, "B H T"]:
        """n_eff = (Σw)² / Σw²: on how many keys a row rests; NaN for rows without mass."""
        return self.mass.square() / self.square


@dataclass(frozen=True, kw_only=True)
class RowState:
    """Sums over the keys seen so far, relative to the largest log weight among them.

    With weight w = exp(s) and p = exp(s - m): l = Σp, e = Σ p (s - m), z = Σp², d = Σ p · position,
    f = Σ p · ‖v W_O‖, r = Σ p · sign(A). None: not wanted. m is minus infinity where nothing was
    seen. Every sum is centred on m, so nothing overflows and no large numbers cancel.
    """

    m: Float[Tensor, "*rows"]
    l: Float[Tensor, "*rows"]
    e: Float[Tensor, "*rows"] | None = None
    z: Float[Tensor, "*rows"] | None = None
    d: Float[Tensor, "*rows"] | None = None
    f: Float[Tensor, "*rows"] | None = None
    r: Float[Tensor, "*rows"] | None = None

    @staticmethod
    def of(
        s: Float[Tensor, "*rows S"],
        *,
        entropy: bool = True,
        square: bool = True,
        position: Float[Tensor, "*#rows S"] | None = None,
        norm: Float[Tensor, "*rows S"] | None = None,
        sign: Float[Tensor, "*rows S"] | None = None,
    ) -> "RowState":
        """The state of one tile of log weights; minus infinity where there is none."""
        if not s.shape[-1]:
            s = torch.nn.functional.pad(s, (0, 1), value=-torch.inf)
            position, norm, sign = (
                None if x is None else torch.nn.functional.pad(x, (0, 1))
                for x in (position, norm, sign)
            )
        m = s.amax(-1)
        t = s - finite(m)[..., None]
        p = t.exp()
        return RowState(
            m=m,
            l=p.sum(-1),
            e=(p * t.clamp_min(torch.finfo(t.dtype).min)).sum(-1) if entropy else None,
            z=p.square().sum(-1) if square else None,
            d=None if position is None else (p * position).sum(-1),
            f=None if norm is None else (p * norm).sum(-1),
            r=None if sign is None else (p * sign).sum(-1),
        )

    def update(self, s: Float[Tensor, "*rows S"], **more: object) -> "RowState":
        """The state after one more tile of keys, given as in `of`."""
        return self.merge(RowState.of(s, **more))

    def merge(self, other: "RowState") -> "RowState":
        """The state of both sets of keys; associative and commutative, so tiles come in any order.

        Weights go over to the larger m by a factor f: sums scale with f, squares with f², and e
        moves its centre as well. A merge of log-sum-exps alone forgets the last two.
        """
        m = torch.maximum(self.m, other.m)
        return RowState(m=m, **{name: sums(self.on(m), other.on(m), name) for name in SUMS})

    def on(self, m: Float[Tensor, "*rows"]) -> "RowState":
        """The same sums relative to another, not smaller, m."""
        shift = torch.where(self.m == -torch.inf, 0, self.m - finite(m))
        factor = torch.where(self.m == -torch.inf, 0, shift.exp())
        moved = {name: scaled(getattr(self, name), factor) for name in ("l", "d", "f", "r")}
        return RowState(
            m=m,
            e=None if self.e is None else factor * (self.e + shift * self.l),
            z=scaled(self.z, factor.square()),
            **moved,
        )

    def rows(self, where: slice) -> "RowState":
        """The state of some rows (the last axis)."""
        return RowState(
            **{
                x.name: None if getattr(self, x.name) is None else getattr(self, x.name)[..., where]
                for x in fields(self)
            }
        )

    @property
    def lse(self) -> Float[Tensor, "*rows"]:
        """ln Σ exp(s)."""
        return self.m + self.l.log()

    def finalize(self, lse: Float[Tensor, "*rows"] | None = None) -> Spread:
        """The sums of w = exp(s - lse); with None, of w = exp(s)."""
        log_scale = finite(self.m) - (0 if lse is None else finite(lse))
        there = self.m != -torch.inf
        scale = torch.where(there, log_scale.exp(), 0)
        log = None if self.e is None else scale * (self.e + log_scale * self.l)
        return Spread(
            mass=scale * self.l, peak=scale, log=log, square=scaled(self.z, scale.square())
        )

    def total(self, name: str, lse: Float[Tensor, "*rows"] | None = None) -> Tensor:
        """One of the sums d, f, r as weights exp(s - lse)."""
        only = replace(self, l=getattr(self, name), e=None, z=None)
        return only.finalize(lse).mass


SUMS = ("l", "e", "z", "d", "f", "r")


def finite(m: Tensor) -> Tensor:
    """Zero in place of infinities."""
    return torch.where(m.isinf(), 0, m)


def scaled(x: Tensor | None, factor: Tensor) -> Tensor | None:
    """x · factor, or None."""
    return None if x is None else x * factor


def sums(a: RowState, b: RowState, name: str) -> Tensor | None:
    """One field of two states on the same m, added up."""
    x, y = getattr(a, name), getattr(b, name)
    return None if x is None or y is None else x + y
