"""The autoencoder of latent diffusion, in both its kinds (Rombach et al. 2022, section 3.1 and appendix G).

KL: a variational autoencoder with a small weight on its prior. VQ: a codebook between encoder and decoder. Diffusion
sees the latent before it is quantised; the codebook counts as the first layer of the decoder.
"""

from __future__ import annotations

from torch import Tensor, nn

from safelight.autoencoder.codebook import Codebook
from safelight.autoencoder.decoder import Decoder
from safelight.autoencoder.distributions import DiagonalGaussian, Distribution, Point
from safelight.autoencoder.encoder import Encoder
from safelight.configs import AutoencoderConfig


class Autoencoder(nn.Module):
    """Pictures to latents and back, `config.factor` times smaller each way."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.moments = _pointwise(config.moments, config)
        self.codebook = Codebook(config.codes, config.latent_channels) if config.codes else None
        self.latent_in = _pointwise(config.latent_channels, config)
        self.decoder = Decoder(config)

    def encode(self, image: Tensor) -> Distribution:
        """(b, 3, H, W) in [-1, 1] -> distribution over unscaled latents (b, c, H / f, W / f).

        Of a VQ autoencoder it is one point, before it is quantised.
        """
        moments = self.moments(self.encoder(image))
        if self.codebook is not None:
            return Point(moments)
        mean, log_variance = moments.chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance.clamp(-30.0, 20.0))

    def decode(self, latent: Tensor) -> Tensor:
        """Unscaled latent (b, c, h, w) -> image (b, 3, f h, f w), about in [-1, 1]."""
        if self.codebook is not None:
            latent = self.codebook(latent).latent
        return self.decoder(self.latent_in(latent))

    def forward(self, image: Tensor) -> Tensor:
        """The image as it comes back from the mean of its latent: (b, 3, H, W) -> (b, 3, H, W)."""
        return self.decode(self.encode(image).mean)


def _pointwise(channels: int, config: AutoencoderConfig) -> nn.Module:
    """A 1x1 convolution beside the latent, where the autoencoder has them."""
    return nn.Conv2d(channels, channels, 1) if config.latent_convs else nn.Identity()
