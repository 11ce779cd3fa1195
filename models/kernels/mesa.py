"""One regularised least-squares fit per token (MesaNet, arXiv 2506.05233), by rows in chunks."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.kernels.decay import SUB, decay_matrix, wide
from models.kernels.dplr import apart, together
from models.kernels.linear import chunks
from models.kernels.softmax import remembering


def fitted(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    beta: Float[Tensor, "B G T"],
    g: Float[Tensor, "B G T"],
    penalty: Float[Tensor, "G D"],
) -> Float[Tensor, "B H T D"]:
    """(H_i + diag(penalty))⁻¹ q_i with H_i = Σ_{j<=i} exp(g_{j+1} + ... + g_i) β_j k_j k_jᵀ.

    Time O(T · D³). The matrices of SUB rows are made at once and again in the backward pass, so
    memory is O((T / SUB + SUB) · D²).
    """
    t, share = q.shape[2], q.shape[1] // k.shape[1]
    rows = together(chunks(wide(q), SUB), k.shape[1])
    k, beta, g = (chunks(wide(x), SUB) for x in (k, beta, g))
    decay, since = decay_matrix(g), g.cumsum(-1).exp()[..., None]
    written = beta[..., None] * k
    added = (written * decay[..., -1, :, None]).mT @ k
    gram, starts = torch.zeros_like(added[:, :, 0]), []
    for keep, add in zip(since[..., -1:, :].unbind(2), added.unbind(2), strict=True):
        starts.append(gram)
        gram = keep * gram + add
    # Apart first, as the gradient of an index would fill in a whole tensor for every chunk.
    parts = [x.unbind(2) for x in (rows, k, written, decay, since)]

    def solve(c: int) -> Tensor:
        q, k, written, decay, since = (x[c] for x in parts)
        near = decay @ (written[..., :, None] * k[..., None, :]).flatten(-2)
        grams = since[..., None] * starts[c][:, :, None] + near.unflatten(-1, (k.shape[-1], -1))
        each = q.unflatten(2, (share, SUB)).transpose(2, 3)
        return ridge(grams, penalty[:, None], each).transpose(2, 3).flatten(2, 3)

    run = remembering if torch.is_grad_enabled() else (lambda f, c: f(c))
    found = torch.stack([run(solve, c) for c in range(len(starts))], 2)
    return apart(found, share)[:, :, :t].to(q.dtype)


def ridge(
    gram: Float[Tensor, "B G *S D D"],
    penalty: Float[Tensor, "G *#S D"],
    q: Float[Tensor, "B G *S h D"],
) -> Float[Tensor, "B G *S h D"]:
    """(gram + diag(penalty))⁻¹ q for h queries; the sum is positive definite."""
    factor = torch.linalg.cholesky(gram + wide(penalty).diag_embed())
    half = torch.linalg.solve_triangular(factor, q.mT, upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True).mT


def fitted_step(
    q: Float[Tensor, "B H 1 D"],
    k: Float[Tensor, "B G 1 D"],
    beta: Float[Tensor, "B G 1"],
    g: Float[Tensor, "B G 1"],
    penalty: Float[Tensor, "G D"],
    gram: Float[Tensor, "B G D D"] | None,
) -> tuple[Float[Tensor, "B H 1 D"], Float[Tensor, "B G D D"]]:
    """`fitted` for one more token, and H with this token in it, at least float32."""
    new = wide(beta[..., None] * k).mT @ wide(k)
    gram = new if gram is None else g.exp()[..., None] * gram + new
    found = ridge(gram, penalty, wide(q).flatten(1, 2).unflatten(1, (k.shape[1], -1)))
    return found.flatten(1, 2)[:, :, None].to(q.dtype), gram


def fitted_flops(t: int, n_heads: int, n_groups: int, d: int) -> int:
    """Of `fitted` over t tokens, t a multiple of 64.

    Two triangular solves per query, D² each; the Cholesky factors, D³/3 per token and key head, are
    not products, and torch does not count them.
    """
    return 2 * t * d * d * (n_groups * (1 + SUB) + n_heads)
