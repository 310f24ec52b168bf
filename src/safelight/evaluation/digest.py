"""A hash that tells a network's weights from all others."""

from __future__ import annotations

import hashlib

from torch import nn

SHORT = 8  # letters of it that a name shows


def digest_of(network: nn.Module, way: str) -> str:
    """SHA-256 of a network's weights, names and shapes included, and of what is done to its pixels, in words."""
    hashed = hashlib.sha256(way.encode())
    for name, tensor in sorted(network.state_dict().items()):
        hashed.update(f"{name}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()
