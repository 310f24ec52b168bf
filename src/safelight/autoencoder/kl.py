"""The KL autoencoder: a variational autoencoder with a small weight on its prior (Rombach et al. 2022, appendix G)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from safelight.autoencoder.decoder import Decoder
from safelight.autoencoder.encoder import Encoder
from safelight.configs import AutoencoderConfig


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


class Autoencoder(nn.Module):
    """Pictures to latents and back, `config.factor` times smaller each way."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        moments = 2 * config.latent_channels
        self.encoder = Encoder(config)
        self.moments = nn.Conv2d(moments, moments, 1)
        self.latent_in = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
        self.decoder = Decoder(config)

    def encode(self, image: Tensor) -> DiagonalGaussian:
        """(b, 3, H, W) in [-1, 1] -> distribution over unscaled latents (b, c, H / f, W / f)."""
        mean, log_variance = self.moments(self.encoder(image)).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance.clamp(-30.0, 20.0))

    def decode(self, latent: Tensor) -> Tensor:
        """Unscaled latent (b, c, h, w) -> image (b, 3, f h, f w), about in [-1, 1]."""
        return self.decoder(self.latent_in(latent))

    def forward(self, image: Tensor) -> Tensor:
        """The image as it comes back from the mean of its latent: (b, 3, H, W) -> (b, 3, H, W)."""
        return self.decode(self.encode(image).mean)
