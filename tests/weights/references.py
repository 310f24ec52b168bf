"""What every comparison with a reference library needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4
torch.set_num_threads(1)  # networks this small are slower on several


def scrambled(network: nn.Module, seed: int = 0) -> nn.Module:
    """The same network with every parameter moved off its start, so that none is left at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def settled(network: nn.Module) -> nn.Module:
    """The same network, its weights copied out of the mapped file: there they begin anywhere.

    On some processors sums are rounded otherwise for it, and equal weights give results that differ in the last bits.
    """
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()
    return network


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Reproducible normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, in units of the largest value."""
    assert ours.shape == theirs.shape
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
