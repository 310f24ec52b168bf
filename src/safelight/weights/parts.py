"""The parts of a text-to-image model."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.autoencoder import Autoencoder
from safelight.configs import ScheduleConfig
from safelight.text import TextEncoder, Tokenizer
from safelight.unet import UNet


@dataclass
class Parts:
    """All that a pipeline needs."""

    tokenizer: Tokenizer
    text_encoder: TextEncoder
    unet: UNet
    autoencoder: Autoencoder
    schedule: ScheduleConfig
