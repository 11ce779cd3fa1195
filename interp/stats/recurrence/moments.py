"""What adds up along a recurrence: sums over rows and columns of its matrix without its entries.

Masses Σ_j A_ij f_j and column sums take O(n · d · (d + L)) for chunks of L tokens, and so does
Σ_j A_ij² = qᵀ M q with the second moment M <- G M Gᵀ + k kᵀ of the keys. Entropy, |A| and maxima of
a signed matrix do not decompose in this way.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.stats.recurrence.scan import Scan, back, forward, scan
from models.forms import Recurrence
from models.kernels.linear import CHUNK, chunks


def second_moment(r: Recurrence) -> Float[Tensor, "B H T"]:
    """Σ_j A_ij² of every row, A summed over a token's keys; in float32 at least."""
    return squares(scan(r))


def squares(s: Scan) -> Float[Tensor, "B H T"]:
    """Σ_j A_ij² of every row. Every term is a square: nothing cancels."""
    out = s.near.square().sum(-1)
    moment = s.k.new_zeros(*s.k.shape[:2], s.k.shape[-1], s.k.shape[-1])
    for c in range(s.k.shape[2]):
        q, k, through = s.q[:, :, c], s.k[:, :, c], s.through[:, :, c]
        read = q.flatten(2, 3)
        found = ((read @ moment) * read).sum(-1).clamp_min(0)
        out[:, :, c] += found.unflatten(2, q.shape[2:4])
        moment = forward(forward(moment, through).mT, through) + k.mT @ k
    return joined(out.movedim(4, 2), s.tokens)


def masses(s: Scan, f: Float[Tensor, "#B #H T X"]) -> Float[Tensor, "B H T X"]:
    """Σ_j A_ij f_j for X weightings of the keys."""
    f = grouped(f, s)
    out = s.near.movedim(4, 2) @ f
    memory = f.new_zeros(*f.shape[:3], s.k.shape[-1], f.shape[-1])
    for c in range(s.k.shape[2]):
        k, through = s.k[:, :, c, None], s.through[:, :, c, None]
        out[:, :, :, c] += s.q[:, :, c].transpose(2, 3) @ memory
        memory = forward(memory.mT, through).mT + k.transpose(-1, -2) @ f[:, :, :, c]
    return joined(out, s.tokens)


def distances(s: Scan) -> Float[Tensor, "B H T"]:
    """Σ_j A_ij (i - j). Keys age as chunks go by: i Σ A - Σ A j would be lost in rounding."""
    place = torch.arange(CHUNK, device=s.q.device, dtype=s.q.dtype)
    lag = place[:, None, None] - place
    out = (s.near * lag).sum(-1).movedim(4, 2)
    memory = s.q.new_zeros(*s.k.shape[:2], s.k.shape[-1], 2)  # Σ k, and Σ k · age
    for c in range(s.k.shape[2]):
        k, through = s.k[:, :, c], s.through[:, :, c]
        mass, aged = (s.q[:, :, c].transpose(2, 3) @ memory[:, :, None]).unbind(-1)
        out[:, :, :, c] += aged + place * mass
        older = torch.stack([memory[..., 0], memory[..., 1] + CHUNK * memory[..., 0]], -1)
        ages = torch.stack([torch.ones_like(place), CHUNK - place], -1)
        memory = forward(older.mT, through).mT + k.mT @ ages
    return joined(out, s.tokens)


def received(s: Scan) -> Float[Tensor, "B H T"]:
    """Σ_i A_ij of every column, rows carried back from the last chunk to the first."""
    out = s.near.sum(3)
    rows = s.q.new_zeros(*s.q.shape[:2], *s.q.shape[4:])
    for c in reversed(range(s.k.shape[2])):
        out[:, :, c] += rows @ s.k[:, :, c].mT
        rows = back(rows, s.through[:, :, c]) + s.q[:, :, c].sum(2)
    return joined(out.movedim(3, 2), s.tokens)


def since(s: Scan, first: int) -> Scan:
    """The same matrix with zeros in its columns before token `first`."""
    near, k = s.near.clone(), s.k.clone()
    k.flatten(2, 3)[:, :, :first] = 0
    for c in range(min(-(-first // CHUNK), k.shape[2])):
        near[:, :, c, ..., : first - c * CHUNK] = 0
    return Scan(tokens=s.tokens, q=s.q, k=k, through=s.through, near=near)


def grouped(f: Float[Tensor, "#B #H T X"], s: Scan) -> Float[Tensor, "B G h C L X"]:
    """In chunks, heads of a group next to each other."""
    batch, groups = s.q.shape[:2]
    f = chunks(f.to(s.q.dtype).expand(batch, s.heads, -1, -1))
    return f.unflatten(1, (groups, -1))


def joined(x: Float[Tensor, "B G h C L *X"], tokens: int) -> Float[Tensor, "B H T *X"]:
    """Undoes the chunks and the groups."""
    return x.flatten(1, 2).flatten(2, 3)[:, :, :tokens]
