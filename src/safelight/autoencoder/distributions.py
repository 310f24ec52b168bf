"""What an encoder says of a latent: a normal distribution (KL), or one point (VQ, and the tiny autoencoder)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class DiagonalGaussian:
    """The distribution of a latent, given its image: independent normal numbers.

    mean, log_variance: (b, c, h, w).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One latent (b, c, h, w); noise is drawn on the generator's device, the CPU's by default."""
        noise_device = generator.device if generator is not None else self.mean.device
        noise = torch.randn(self.mean.shape, generator=generator, device=noise_device, dtype=self.mean.dtype)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise.to(self.mean.device)

    def kl(self) -> Tensor:
        """(b,): divergence from the standard normal distribution, summed over the latent (Kingma & Welling 2014)."""
        terms = self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance
        return 0.5 * terms.flatten(1).sum(dim=1)

    def float(self) -> DiagonalGaussian:
        """The same in float32."""
        return DiagonalGaussian(self.mean.float(), self.log_variance.float())


@dataclass(frozen=True)
class Point:
    """The one latent that an image has. mean: (b, c, h, w)."""

    mean: Tensor

    def sample(self, generator: Generator | None = None) -> Tensor:
        """That latent (b, c, h, w); nothing is drawn from the generator."""
        return self.mean

    def kl(self) -> Tensor:
        """(b,) zeros: under a uniform prior over the codes it is a constant (van den Oord et al. 2017, section 3.2)."""
        return self.mean.new_zeros(len(self.mean))

    def float(self) -> Point:
        """The same in float32."""
        return Point(self.mean.float())


Distribution: TypeAlias = DiagonalGaussian | Point
