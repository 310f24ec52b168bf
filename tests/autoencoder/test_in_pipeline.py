"""A pipeline draws with any kind of autoencoder."""

from __future__ import annotations

import numpy
import pytest
import torch
from PIL import Image
from tiny_model import tiny_parts
from weights.references import noise, scrambled

from safelight.autoencoder import Autoencoder, Pixels, Point, TinyAutoencoder
from safelight.autoencoder.pixels import PixelsConfig
from safelight.autoencoder.preview import latent_colours
from safelight.configs import AutoencoderConfig, TinyAutoencoderConfig
from safelight.pipeline import Pipeline
from safelight.placement import placement_for

VQ = AutoencoderConfig(channels=(16, 16, 16, 16), blocks_per_level=1, groups=8, codes=30, scale=1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "autoencoder",
    [
        Autoencoder(VQ),
        TinyAutoencoder(TinyAutoencoderConfig(width=8)),
        Pixels(PixelsConfig(latent_channels=4, factor=8)),
    ],
    ids=["vq", "tiny", "none"],
)
def test_a_latent_without_spread_needs_no_noise(autoencoder: torch.nn.Module, dtype: str) -> None:
    parts = tiny_parts()
    parts.autoencoder = scrambled(autoencoder)
    pipe = Pipeline(parts, placement=placement_for("cpu", dtype))
    found = pipe.encoded(noise(1, 3, 64, 64))
    assert isinstance(found, Point)
    assert found.mean.dtype == torch.float32


@pytest.mark.parametrize("autoencoder", [Autoencoder(VQ), TinyAutoencoder(TinyAutoencoderConfig(width=8))])
def test_it_draws_from_text_and_from_a_picture(autoencoder: torch.nn.Module, picture: Image.Image) -> None:
    parts = tiny_parts()
    parts.autoencoder = scrambled(autoencoder)
    pipe = Pipeline(parts)
    for more in ({}, {"image": picture, "strength": 0.5}):
        drawn = [
            numpy.asarray(pipe("a red apple", seed=seed, num_inference_steps=4, **more).images[0]) for seed in (1, 1, 2)
        ]
        assert drawn[0].shape == (64, 64, 3)
        assert numpy.array_equal(drawn[0], drawn[1])
        assert not numpy.array_equal(drawn[0], drawn[2])


def test_the_preview_of_pixels_is_the_picture() -> None:
    image = noise(2, 3, 5, 7).clamp(-1, 1)
    assert torch.allclose(latent_colours(Pixels())(image), image, atol=1e-5)
