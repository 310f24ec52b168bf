"""The published autoencoders at their full size, on the meta device: as many parameters as diffusers' own.

Shapes: models/first_stage_models/*/config.yaml of CompVis/latent-diffusion; SD's and the x4 upscaler's, their folders.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL, VQModel

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig
from safelight.weights.autoencoder_config import read_autoencoder_config, write_autoencoder_config
from safelight.weights.fields import Fields

F4, F8, F16 = (128, 256, 512), (128, 256, 256, 512), (128, 128, 256, 256, 512)
LAST_OF_4, LAST_OF_5 = (False,) * 3 + (True,), (False,) * 4 + (True,)

VQ_F4 = AutoencoderConfig(channels=F4, latent_channels=3, codes=8192, scale=1)
PUBLISHED = {
    "kl-f4": (AutoencoderConfig(channels=F4, latent_channels=3), 55_312_063),
    "x4 upscaler": (AutoencoderConfig(channels=F4, scale=0.08333), 55_325_927),
    "kl-f8": (AutoencoderConfig(), 83_653_863),
    "kl-f16": (AutoencoderConfig(channels=F16, latent_channels=16, attention=LAST_OF_5), 69_610_963),
    "kl-f32": (AutoencoderConfig(channels=(*F16, 512), latent_channels=64, attention=(*LAST_OF_5, True)), 103_880_131),
    "vq-f4": (VQ_F4, 55_322_782),
    "vq-f4-noattn": (replace(VQ_F4, middle_attention=False), 53_219_486),
    "vq-f8": (AutoencoderConfig(channels=F8, attention=LAST_OF_4, codes=16384, scale=1), 67_717_295),
    "vq-f8-n256": (AutoencoderConfig(channels=F8, attention=LAST_OF_4, codes=256, scale=1), 67_652_783),
    "vq-f16": (
        AutoencoderConfig(channels=F16, latent_channels=8, attention=LAST_OF_5, codes=16384, scale=1),
        69_593_371,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes(name: str) -> None:
    config, parameters = PUBLISHED[name]
    written = write_autoencoder_config(config)
    with torch.device("meta"):
        ours = Autoencoder(config)
        theirs = (VQModel if config.codes else AutoencoderKL).from_config(written)
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters())
    assert count == parameters
    assert read_autoencoder_config(Fields("vae/config.json", written)) == config
