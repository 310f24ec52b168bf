"""What the UNet is shown beside the noisy latent while it is trained: one file for each way of showing it."""

from safelight.training.diffusion.shown.shown import Nothing, Shown, Together
from safelight.training.diffusion.shown.text import ShownText

__all__ = ["Nothing", "Shown", "ShownText", "Together"]
