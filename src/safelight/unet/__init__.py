"""The UNet: predicts the noise (or velocity, or clean latent) from a noisy latent, its level and a text."""

from safelight.unet.unet import Residuals, UNet

__all__ = ["Residuals", "UNet"]
