"""Delta rules with decay, chunk by chunk or token by token: memory O(T), time O(T).

Scalar decay, with one pair of read and written key: each row takes off what its reading key finds,
S_t = exp(g_t) S_{t-1} + β_t k_t (v_t - S_{t-1}ᵀ read_t)ᵀ. Gated DeltaNet (arXiv 2412.06464) fades
before it reads, so its read_t is exp(g_t) k_t; Comba (arXiv 2506.02475) reads before it fades.
Vector decay, diagonal plus low rank: S_t = (diag(exp(g_t)) + b_t a_tᵀ) S_{t-1} + k_t v_tᵀ, the form
of RWKV-7 (arXiv 2503.14456) and of Kimi Delta Attention (arXiv 2510.26692).

With u_t = S_{t-1}ᵀ a_t and D(j→t) the decay after token j up to token t, in a chunk that starts
from memory S, S_t = D(0→t) S + Σ_{j<=t} D(j→t) (b_j u_jᵀ + k_j v_jᵀ). Putting this into u gives one
unit triangular system a chunk. Only sums of g are exponentiated, never their negatives, so nothing
overflows however strong the decay.
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.attention.contract import State, repeat_groups
from models.kernels.decay import SUB, decay_matrix, vector_decay_scores, wide
from models.kernels.delta import solve_unit
from models.kernels.linear import CHUNK, chunks

BLOCK = 128  # rows whose pairs the vector decay holds at once, a multiple of SUB


def gated_scores(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B G R D"], g: Float[Tensor, "B G R"]
) -> Float[Tensor, "B H T R"]:
    """q kᵀ times the decay between them; the last of a token's R / T rows is where it reads."""
    r = k.shape[2] // q.shape[2]
    decay = decay_matrix(g)[..., r - 1 :: r, :].to(q.dtype)
    return q @ repeat_groups(k, q.shape[1]).mT * repeat_groups(decay, q.shape[1])


def gated_weights(
    scores: Float[Tensor, "B H T R"],
    k: Float[Tensor, "B G R D"],
    read: Float[Tensor, "B G R D"],
    beta: Float[Tensor, "B G R"],
    g: Float[Tensor, "B G R"],
) -> Float[Tensor, "B H T R"]:
    """scores · (I + diag β (read kᵀ ⊙ decay before the row))⁻¹ diag β."""
    system = beta[..., None] * (read @ k.mT) * before(decay_matrix(g)).to(k.dtype)
    return scores @ repeat_groups(solve_unit(system, beta.diag_embed()), scores.shape[1])


def gated_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G R D"],
    v: Float[Tensor, "B G R V"],
    read: Float[Tensor, "B G R D"],
    beta: Float[Tensor, "B G R"],
    g: Float[Tensor, "B G R"],
) -> Float[Tensor, "B H T V"]:
    """gated_weights(gated_scores(...)) v."""
    t, r, share = q.shape[2], k.shape[2] // q.shape[2], q.shape[1] // k.shape[1]
    size = CHUNK // r  # tokens in a chunk
    q = together(chunks(q, size), k.shape[1])
    k, v, read, beta, g = (chunks(x, size * r) for x in (k, v, read, beta, g))
    decay = decay_matrix(g).to(q.dtype)
    since = wide(g).cumsum(-1).exp().to(q.dtype)
    seen = [x[:, :, :, r - 1 :: r].repeat(1, 1, 1, share, 1) for x in (decay, since[..., None])]
    # From an empty memory each chunk writes u; what memory S already holds takes w·S off it.
    far = read * F.pad(since[..., :-1], (1, 0), value=1)[..., None]
    system = beta[..., None] * (read @ k.mT) * before(decay)
    solved = solve_unit(system, beta[..., None] * torch.cat([far, v], -1))
    w, u = solved.split([k.shape[-1], v.shape[-1]], -1)
    near = q @ k.mT * seen[0]
    until = (k * decay[..., -1, :, None]).mT
    kept = since[..., -1:].expand(*since.shape[:-1], k.shape[-1]).diag_embed() - until @ w
    memory = memories(kept, until @ u)
    return apart((q * seen[1] - near @ w) @ memory + near @ u, share)[:, :, :t]


def gated_step(
    q: Float[Tensor, "B H 1 D"],
    k: Float[Tensor, "B G R D"],
    v: Float[Tensor, "B G R V"],
    read: Float[Tensor, "B G R D"],
    beta: Float[Tensor, "B G R"],
    g: Float[Tensor, "B G R"],
    state: State | None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token, which writes R times before it reads."""
    memory = empty(k, v) if state is None else state["memory"]
    kept, written = g.exp()[..., None, None].to(q.dtype), beta[..., None] * v
    for i in range(k.shape[2]):
        row = slice(i, i + 1)
        new = written[:, :, row] - beta[:, :, row, None] * (read[:, :, row] @ memory)
        memory = kept[:, :, i] * memory + k[:, :, row].mT @ new
    return q @ repeat_groups(memory, q.shape[1]), {"memory": memory}


def gated_flops(t: int, n_heads: int, n_groups: int, d_key: int, d_value: int, r: int = 1) -> int:
    """Of `gated_mix` over t tokens of r rows; a triangular solve takes S² per column."""
    size, d, v = CHUNK // r, d_key, d_value
    rows = size * r
    group = rows**2 * (3 * d + v) + 2 * rows * d * (d + v) + 2 * d * d * v
    head = 2 * size * (rows * (2 * d + v) + d * v)
    return -(-t // size) * (n_groups * group + n_heads * head)


def dplr_weights(
    scores: Float[Tensor, "B H T S"],
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    a: Float[Tensor, "B G T D"],
    b: Float[Tensor, "B G T D"],
    g: Float[Tensor, "B G T D"],
) -> Float[Tensor, "B H T S"]:
    """scores plus what reaches a query through the low rank part: A_qb (I - A_ab)⁻¹ A_ak."""
    later = F.pad(a[:, :, 1:], (0, 0, 0, 1))  # row t reads what is left after token t - 1
    a_b, a_k = (before(vector_decay_scores(later, x, g)) for x in (b, k))
    through = repeat_groups(solve_unit(-a_b, a_k), q.shape[1])
    return scores + vector_decay_scores(q, b, g) @ through


def dplr_mix(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    a: Float[Tensor, "B G T D"],
    b: Float[Tensor, "B G T D"],
    g: Float[Tensor, "B G T D"],
) -> Float[Tensor, "B H T V"]:
    """dplr_weights(vector_decay_scores(q, k, g), ...) v.

    Pairs of rows are compared channel by channel, for BLOCK rows at once and again in the backward
    pass: memory is O(T · D² / SUB + BLOCK · SUB · D).
    """

    def block(low: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return dplr_chunks(*(x[:, :, low : low + BLOCK] for x in (q, k, v, a, b, g)))

    forget = partial(checkpoint, block, use_reentrant=False, preserve_rng_state=False)
    run = forget if torch.is_grad_enabled() else block
    parts = [run(low) for low in range(0, q.shape[2], BLOCK)]
    far, near, kept, added = (torch.cat(some, 2) for some in zip(*parts, strict=True))
    share = q.shape[1] // k.shape[1]
    return apart(far @ memories(kept, added) + near, share)[:, :, : q.shape[2]]


def dplr_chunks(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T V"],
    a: Float[Tensor, "B G T D"],
    b: Float[Tensor, "B G T D"],
    g: Float[Tensor, "B G T D"],
) -> tuple[
    Float[Tensor, "B G C hS D"],
    Float[Tensor, "B G C hS V"],
    Float[Tensor, "B G C D D"],
    Float[Tensor, "B G C D V"],
]:
    """For chunks of SUB rows: what reads the memory S before them, what they read of themselves,
    and how S leaves them, as kept · S + added."""
    q = together(chunks(q, SUB), k.shape[1])
    k, v, a, b, g = (chunks(x, SUB) for x in (k, v, a, b, g))
    decay = decay_matrix(g.mT).to(q.dtype)  # [B, G, C, D, S, S]
    since = wide(g).cumsum(-2).exp().to(q.dtype)
    near_a, near_q = near_pairs(q, a, torch.stack([b, k], -3), g, before(decay))
    far = a * F.pad(since[..., :-1, :], (0, 0, 1, 0), value=1)
    # u is what the rows of a read: from an empty memory, plus w·S from memory S.
    solved = solve_unit(-near_a[..., :SUB], torch.cat([far, near_a[..., SUB:] @ v], -1))
    w, u = solved.split([k.shape[-1], v.shape[-1]], -1)
    until = torch.cat([x * decay[..., -1, :].mT for x in (b, k)], -2).mT
    written, share = torch.cat([u, v], -2), q.shape[-2] // SUB
    kept = since[..., -1, :].diag_embed() + until[..., :SUB] @ w
    far = q * since.repeat(1, 1, 1, share, 1) + near_q[..., :SUB] @ w
    return far, near_q @ written, kept, until @ written


def near_pairs(
    q: Float[Tensor, "B G C hS D"],
    a: Float[Tensor, "B G C S D"],
    writes: Float[Tensor, "B G C 2 S D"],
    g: Float[Tensor, "B G C S D"],
    decay: Float[Tensor, "B G C D S S"],
) -> tuple[Float[Tensor, "B G C S pairs"], Float[Tensor, "B G C hS pairs"]]:
    """What rows a (before their token) and q (after it) find of b and k written in their chunk."""
    size = a.shape[-2]
    q = q.unflatten(-2, (-1, size)).transpose(-3, -2)  # [B, G, C, S, h, D]
    own = (q[..., None, :] * writes.movedim(-3, -2)[..., None, :, :]).sum(-1)
    reads = torch.cat([a[..., None, :], q * wide(g).exp().to(q.dtype)[..., None, :]], -2)
    faded = decay.movedim(-3, -1)[..., None, :, :] * writes[..., None, :, :, :]
    pairs = reads @ faded.flatten(-3, -2).mT  # [B, G, C, S, 1 + h, 2 S]
    here = own[..., None] * torch.eye(size, dtype=q.dtype, device=q.device)[:, None, None]
    near_q = pairs[..., 1:, :] + here.flatten(-2)
    return pairs[..., 0, :], near_q.transpose(-3, -2).flatten(-3, -2)


def dplr_step(
    q: Float[Tensor, "B H 1 D"],
    k: Float[Tensor, "B G 1 D"],
    v: Float[Tensor, "B G 1 V"],
    a: Float[Tensor, "B G 1 D"],
    b: Float[Tensor, "B G 1 D"],
    g: Float[Tensor, "B G 1 D"],
    state: State | None,
) -> tuple[Float[Tensor, "B H 1 V"], State]:
    """One more token: S = (diag(exp(g)) + b aᵀ) S + k vᵀ, output Sᵀ q."""
    memory = empty(k, v) if state is None else state["memory"]
    memory = g.mT.exp().to(q.dtype) * memory + b.mT @ (a @ memory) + k.mT @ v
    return q @ repeat_groups(memory, q.shape[1]), {"memory": memory}


def dplr_flops(t: int, n_heads: int, n_groups: int, d_key: int, d_value: int) -> int:
    """Of `dplr_mix` over t tokens, t a multiple of 64."""
    s, d, v = SUB, d_key, d_value
    group = s * s * (5 * d + 3 * v) + 2 * s * d * (d + 2 * v) + 2 * d * d * v
    head = 2 * s * (s * (3 * d + 2 * v) + d * v)
    return t // s * (n_groups * group + n_heads * head)


def memories(
    kept: Float[Tensor, "B G C D D"], added: Float[Tensor, "B G C D V"]
) -> Float[Tensor, "B G C D V"]:
    """The memory before each chunk, if a chunk turns memory S into kept · S + added."""
    memory, found = torch.zeros_like(added[:, :, 0]), []
    # unbind, as the gradient of an index would fill in a whole tensor for every chunk.
    for keep, add in zip(kept.unbind(2), added.unbind(2), strict=True):
        found.append(memory)
        memory = keep @ memory + add
    return torch.stack(found, 2)


def empty(k: Float[Tensor, "B G R D"], v: Float[Tensor, "B G R V"]) -> Float[Tensor, "B G D V"]:
    """A memory of zeros."""
    return k.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])


def before(x: Float[Tensor, "*n S R"]) -> Float[Tensor, "*n S R"]:
    """Row t holds what row t - 1 held; row 0 is zero."""
    return F.pad(x[..., :-1, :], (0, 0, 1, 0))


def together(x: Float[Tensor, "B H C S D"], n_groups: int) -> Float[Tensor, "B G C hS D"]:
    """The rows of all query heads of a group one after the other: they share one memory."""
    return x.unflatten(1, (n_groups, -1)).movedim(2, 3).flatten(3, 4)


def apart(x: Float[Tensor, "B G C hS V"], share: int) -> Float[Tensor, "B H T V"]:
    """Undoes `together` for `share` query heads a group, and joins the chunks."""
    return x.unflatten(3, (share, -1)).movedim(3, 2).flatten(1, 2).flatten(2, 3)


def log_decay(
    x: Float[Tensor, "B N T *D"], rate: Float[Tensor, " N"], bias: Float[Tensor, " N *D"]
) -> Float[Tensor, "B N T *D"]:
    """-exp(rate) softplus(x + bias), at most 0: the log decay that Mamba-2 introduced."""
    slope = -rate.exp()[(slice(None),) + (None,) * (x.ndim - 2)]
    return slope * F.softplus(x + bias[:, None])


def slow_start(n: int, *d: int) -> tuple[Float[Tensor, " N"], Float[Tensor, " N *D"]]:
    """First `rate` and `bias`: log decays of 0.001 to 0.1 per token.

    Papers also draw speeds of up to 16 times that, which forget within a token; here a head starts
    out remembering 10 to 1000 of them.
    """
    steps = 10 ** (2 * torch.rand(n, *d) - 3)
    return torch.zeros(n), steps.expm1().log()
