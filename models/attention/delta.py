"""DeltaNet (Schlag et al. 2021; chunked form Yang et al. 2024): write what the memory got wrong.

State S_t = S_{t-1} + β_t k_t (v_t - S_{t-1}ᵀ k_t)ᵀ, output S_tᵀ q_t / √D, with |q| = |k| = 1.
The matrix is signed and its rows sum to anything:
A = tril(QKᵀ/√D) (I + diag β tril(KKᵀ,-1))⁻¹ diag β.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import HeadConfig, Projected, Traits, repeat_groups
from models.attention.heads import Heads

CHUNK = 64  # rows handled at once by `mix`: memory is O(T · CHUNK), not O(T²)


def writes(
    k: Float[Tensor, "*n S D"], beta: Float[Tensor, "*n S"], b: Float[Tensor, "*n S X"]
) -> Float[Tensor, "*n S X"]:
    """(I + diag β tril(KKᵀ,-1))⁻¹ diag β · b: what each key writes, given the earlier ones."""
    system = (beta[..., None] * (k @ k.mT)).tril(-1)  # the unit diagonal is implied below
    # PyTorch solves triangular systems in no half precision: those go through float32.
    wide = torch.promote_types(b.dtype, torch.float32)
    b = (beta[..., None] * b).to(wide)
    solved = torch.linalg.solve_triangular(system.to(wide), b, upper=False, unitriangular=True)
    return solved.to(k.dtype)


class Delta(nn.Module):
    """The delta rule with unit queries and keys and a write strength β in (0, 1) per key."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        cache_elements=lambda c, t: c.n_kv_heads * c.d_head * c.d_head,
    )

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.heads = Heads(config)
        e = config.d_model
        self.W_beta = nn.Parameter(torch.randn(config.n_kv_heads, e) * e**-0.5)

    @property
    def W_O(self) -> Float[Tensor, "H D E"]:
        return self.heads.W_O

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        q, k, v = self.heads.split(x)
        beta = torch.einsum("bte,ge->bgt", x, self.W_beta).sigmoid()
        return Projected(
            F.normalize(F.silu(q), dim=-1), F.normalize(F.silu(k), dim=-1), v, {"beta": beta}
        )

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return (p.q @ repeat_groups(p.k, p.q.shape[1]).mT * p.q.shape[-1] ** -0.5).tril()

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        eye = torch.eye(p.k.shape[-2], dtype=p.k.dtype, device=p.k.device)
        written = writes(p.k, p.extra["beta"], eye.expand(*p.k.shape[:2], -1, -1))
        return scores @ repeat_groups(written, p.q.shape[1])

    def pattern(self, p: Projected) -> Float[Tensor, "B H T S"]:
        return self.weigh(self.scores(p), p)

    def mix(self, p: Projected) -> Float[Tensor, "B H T D"]:
        h, t, d = p.q.shape[1:]
        tail = -t % CHUNK
        q = F.pad(p.q * d**-0.5, (0, 0, 0, tail)).unflatten(2, (-1, CHUNK))
        k, v = (F.pad(x, (0, 0, 0, tail)).unflatten(2, (-1, CHUNK)) for x in (p.k, p.v))
        beta = F.pad(p.extra["beta"], (0, tail)).unflatten(2, (-1, CHUNK))
        # From an empty memory each chunk writes u; what memory S already holds takes w·S off it.
        w, u = writes(k, beta, torch.cat([k, v], -1)).split(d, -1)
        k, w, u = (repeat_groups(x, h) for x in (k, w, u))
        within = (q @ k.mT).tril()
        state, out = torch.zeros_like(k[:, :, 0].mT @ u[:, :, 0]), []
        for c in range(q.shape[2]):
            written = u[:, :, c] - w[:, :, c] @ state
            out.append(q[:, :, c] @ state + within[:, :, c] @ written)
            state = state + k[:, :, c].mT @ written
        return torch.cat(out, 2)[:, :, :t]

    def merge(self, z: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T E"]:
        return self.heads.join(z)
