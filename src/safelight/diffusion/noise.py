"""Unit noise, drawn for each picture from its own seed.

A picture's generator gives its start noise first and then the noise of each step, always on the CPU in float32, so that
a picture depends neither on its neighbours nor on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from safelight.errors import BadInput

NoiseSource = Callable[[], Tensor]  # -> the next unit-variance noise (b, c, h, w), one picture for each seed


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator for each seed; picture i of a call with seed s has seed s + i."""
    for seed in seeds:
        if not -(2**63) <= seed < 2**64:
            raise BadInput(f"seed is {seed}; it must be a whole number from -2^63 to 2^64 - 1.")
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def noise_source(
    sources: Sequence[torch.Generator],
    shape: tuple[int, int, int],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> NoiseSource:
    """A callable that draws the next noise (b, *shape), picture i from `sources[i]`, and puts it on `device`."""

    def draw() -> Tensor:
        rows = [torch.randn((1, *shape), generator=source, dtype=torch.float32) for source in sources]
        return torch.cat(rows).to(device, dtype)

    return draw
