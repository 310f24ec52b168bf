"""Random weights for Inception under the names of the published file, the same on every machine."""

from __future__ import annotations

import torch
from torch import Tensor

from safelight.evaluation.inception import Inception
from safelight.evaluation.inception_file import INCEPTION_KEYS
from safelight.weights.empty import without_weights


def random_weights() -> dict[str, Tensor]:
    """A state dict as pytorch-fid's file holds it, so tempered that the last features are neither zero nor huge."""
    with without_weights():
        shapes = {INCEPTION_KEYS.theirs(name): tensor.shape for name, tensor in Inception().state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    return {name: _drawn(name, shapes[name], generator) for name in sorted(shapes)}


def _drawn(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return 0.5 + noise.abs()
    if name.endswith("bn.weight"):
        return 1 + 0.1 * noise
    return 0.1 * noise if len(shape) == 1 else noise * (2 / shape[1:].numel()) ** 0.5
