"""How a number (the noise level, the guidance scale) becomes a vector that the residual blocks can add."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sinusoidal_embedding(
    timestep: Tensor, width: int, *, sine_first: bool = False, frequency_shift: float = 0.0
) -> Tensor:
    """(b,) -> (b, width) float32: cosines and sines at geometrically falling frequencies.

    Vaswani et al. 2017, section 3.5. `timestep` may be fractional. `frequency_shift` is 1 in the original DDPM code,
    0 in Stable Diffusion.
    """
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=timestep.device) / (half - frequency_shift)
    angles = timestep.float()[:, None] * torch.exp(-math.log(10000.0) * exponent)[None, :]
    waves = (angles.sin(), angles.cos()) if sine_first else (angles.cos(), angles.sin())
    return functional.pad(torch.cat(waves, dim=-1), (0, width % 2))


def guidance_embedding(guidance: Tensor, width: int) -> Tensor:
    """(b,) guidance scales, 1 = none -> (b, width) float32.

    For a UNet distilled to imitate guidance (Meng et al. 2023; Luo et al. 2023, section 4.2). What it knows is
    omega = guidance - 1, in thousandths, as if that were a timestep of the original DDPM code.
    """
    return sinusoidal_embedding(1000 * (guidance.float() - 1), width, sine_first=True, frequency_shift=1.0)


class EmbeddingPerceptron(nn.Module):
    """A two-layer perceptron: on top of the sinusoidal embedding, or of a vector that stands for a class."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_width, out_width)
        self.linear2 = nn.Linear(out_width, out_width)

    def forward(self, vector: Tensor) -> Tensor:
        """(b, in_width) -> (b, out_width)."""
        return self.linear2(functional.silu(self.linear1(vector)))
