"""The delta rule, chunk by chunk (Yang et al. 2024, arXiv 2406.06484) or token by token."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.attention.contract import State, repeat_groups
from models.kernels.linear import CHUNK, chunks


def writes(
    k: Float[Tensor, "*n S D"], beta: Float[Tensor, "*n S"], b: Float[Tensor, "*n S X"]
) -> Float[Tensor, "*n S X"]:
    """(I + diag β tril(KKᵀ,-1))⁻¹ diag β · b: what each key writes, given the earlier ones."""
    system = (beta[..., None] * (k @ k.mT)).tril(-1)  # the unit diagonal is implied below
    return solve_unit(system, beta[..., None] * b)


def solve_unit(
    system: Float[Tensor, "*n S S"], b: Float[Tensor, "*n S X"]
) -> Float[Tensor, "*n S X"]:
    """(I + system)⁻¹ b for a strictly lower triangular system."""
    # PyTorch solves triangular systems in no half precision: those go through float32.
    wide = torch.promote_types(b.dtype, torch.float32)
    solved = torch.linalg.solve_triangular(
        system.to(wide), b.to(wide), upper=False, unitriangular=True
    )
    return solved.to(b.dtype)


def delta_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    beta: Float[Tensor, "B G T"],
) -> Float[Tensor, "B H T V"]:
    """tril(q kᵀ) (I + diag β tril(KKᵀ,-1))⁻¹ diag β v."""
    h, t, d = q.shape[1:]
    q, k, v, beta = chunks(q), chunks(k), chunks(v), chunks(beta)
    # From an empty memory each chunk writes u; what memory S already holds takes w·S off it.
    w, u = writes(k, beta, torch.cat([k, v], -1)).split([d, v.shape[-1]], -1)
    k, w, u = (repeat_groups(x, h) for x in (k, w, u))
    within = (q @ k.mT).tril()
    state, out = k.new_zeros(*k.shape[:2], d, v.shape[-1]), []
    # unbind, because the gradient of one index is as large as the whole: time would grow like T².
    parts = (x.unbind(2) for x in (q, k, w, u, within))
    for query, key, takes, writes_alone, near in zip(*parts, strict=True):
        written = writes_alone - takes @ state
        out.append(query @ state + near @ written)
        state = state + key.mT @ written
    return torch.cat(out, 2)[:, :, :t]


def delta_step(
    q: Float[Tensor, "B H 1 D"],
    k: Float[Tensor, "B G 1 D"],
    v: Float[Tensor, "B G 1 V"],
    beta: Float[Tensor, "B G 1"],
    state: State | None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token: S += β k (v - Sᵀ k)ᵀ, output Sᵀ q."""
    memory = torch.zeros_like(k.mT @ v) if state is None else state["memory"]
    memory = memory + k.mT @ (beta[..., None] * (v - k @ memory))
    return q @ repeat_groups(memory, q.shape[1]), {"memory": memory}


def delta_flops(t: int, n_heads: int, n_groups: int, d_key: int, d_value: int) -> int:
    """Of `delta_mix` over t tokens, t a multiple of 64; a triangular solve takes S² per column."""
    solve = n_groups * CHUNK * (3 * d_key + d_value)
    rest = 2 * n_heads * (CHUNK * (d_key + d_value) + 3 * d_key * d_value)
    return t * (solve + rest)
