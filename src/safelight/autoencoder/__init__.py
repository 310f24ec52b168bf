"""The autoencoder: pictures to latents and back (Rombach et al. 2022, section 3.1)."""

from safelight.autoencoder.autoencoder import Autoencoder
from safelight.autoencoder.codebook import Codebook, Quantised
from safelight.autoencoder.distributions import DiagonalGaussian, Distribution, Point
from safelight.autoencoder.pixels import Pixels, PixelsConfig
from safelight.autoencoder.tiny import TinyAutoencoder, TinyDecoder, TinyEncoder, WithTinyDecoder

__all__ = [
    "Autoencoder",
    "Codebook",
    "DiagonalGaussian",
    "Distribution",
    "Pixels",
    "PixelsConfig",
    "Point",
    "Quantised",
    "TinyAutoencoder",
    "TinyDecoder",
    "TinyEncoder",
    "WithTinyDecoder",
]
