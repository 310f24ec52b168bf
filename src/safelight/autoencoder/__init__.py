"""The autoencoder: pictures to latents and back (Rombach et al. 2022, section 3.1)."""

from safelight.autoencoder.kl import Autoencoder, DiagonalGaussian

__all__ = ["Autoencoder", "DiagonalGaussian"]
