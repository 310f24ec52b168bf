"""The parts of a text-to-image model."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.autoencoder import Autoencoder
from safelight.configs import ScheduleConfig
from safelight.text import TextEncoder, Tokenizer
from safelight.unet import UNet


@dataclass
class Parts:
    """All that a pipeline needs. latent_size: the side of the latents that the UNet was trained on."""

    tokenizer: Tokenizer
    text_encoder: TextEncoder
    unet: UNet
    autoencoder: Autoencoder
    schedule: ScheduleConfig
    latent_size: int = 64
