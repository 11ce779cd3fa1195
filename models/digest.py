"""The name of a set of weights: one sha256 over all of them."""

import hashlib

import torch


def weights_digest(model: torch.nn.Module) -> str:
    """sha256 over every tensor's name, shape, type and bytes, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()
