"""A whole model with random weights: draws 64 x 64 pixels of nothing, in milliseconds, the same each time."""

from __future__ import annotations

import torch

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig, ScheduleConfig, TextEncoderConfig, UNetConfig
from safelight.text import TextEncoder, Tokenizer
from safelight.unet import UNet
from safelight.weights import Parts

CAPTIONS = ["a red apple on a table", "a green apple", "two red cats under a full moon", "a table and a moon"] * 4


def tiny_parts(seed: int = 0) -> Parts:
    """The parts of a latent diffusion model of SD 1.x's make; another seed gives other weights."""
    tokenizer = Tokenizer.train(CAPTIONS, size=600, length=77)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        parts = Parts(
            tokenizer=tokenizer,
            text_encoder=TextEncoder(
                TextEncoderConfig(
                    vocabulary=len(tokenizer.vocabulary),
                    width=32,
                    hidden_width=64,
                    layers=2,
                    heads=4,
                    projection_width=32,
                )
            ),
            unet=UNet(
                UNetConfig(
                    channels=(32, 64),
                    groups=16,
                    blocks_per_level=1,
                    attention=("cross", "none"),
                    heads=(4, 4),
                    context_width=32,
                    sample_size=8,
                )
            ),
            autoencoder=Autoencoder(AutoencoderConfig(channels=(32, 32, 32, 32), blocks_per_level=1, groups=16)),
            schedule=ScheduleConfig(),
        )
        for network in (parts.text_encoder, parts.unet, parts.autoencoder):
            network.eval().requires_grad_(False)
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return parts
