"""How a number (the noise level, the guidance scale) becomes a vector that the residual blocks can add."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from safelight.layers.attention import attend


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


class ContextPooling(nn.Module):
    """All that is read as one vector: attention from the mean of the context to its parts (DeepFloyd IF, 2023).

    It reaches the residual blocks of every level, those without cross-attention too, as a class would.
    """

    def __init__(self, context_width: int, out_width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in = nn.LayerNorm(context_width)
        self.place = nn.Parameter(torch.empty(1, context_width).normal_(std=context_width**-0.5))
        self.query = nn.Linear(context_width, context_width)
        self.key = nn.Linear(context_width, context_width)
        self.value = nn.Linear(context_width, context_width)
        self.out = nn.Linear(context_width, out_width)
        self.norm_out = nn.LayerNorm(out_width)

    def forward(self, context: Tensor) -> Tensor:
        """(b, n, context_width) -> (b, out_width)."""
        context = self.norm_in(context)
        mean = context.mean(dim=1, keepdim=True) + self.place
        everything = torch.cat([mean, context], dim=1)
        q, k, v = (
            rearrange(projected, "b n (h d) -> b h n d", h=self.heads)
            for projected in (self.query(mean), self.key(everything), self.value(everything))
        )
        return self.norm_out(self.out(rearrange(attend(q, k, v, causal=False), "b h 1 d -> b (h d)")))
