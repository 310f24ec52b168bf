"""The tiny autoencoder (TAESD, Ollin Boer Bohan 2023): a few plain convolutions that imitate a large autoencoder.

It speaks the scaled latents of the model that it imitates, so its own scale is 1, and can take the place of that
model's autoencoder. Its latents lie within +-3: the decoder bends what is beyond back with a hyperbolic tangent.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.autoencoder.autoencoder import Autoencoder
from safelight.autoencoder.distributions import Distribution, Point
from safelight.configs import AutoencoderConfig, TinyAutoencoderConfig
from safelight.errors import BadInput

MAGNITUDE = 3.0  # of a latent's numbers, at most


class TinyBlock(nn.Module):
    """Three convolutions, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        h = functional.relu(self.conv1(x))
        h = functional.relu(self.conv2(h))
        return functional.relu(self.conv3(h) + x)


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(TinyBlock(width) for _ in range(count)))


class TinyEncoder(nn.Module):
    """Image -> latent."""

    def __init__(self, config: TinyAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        width, counts = config.width, config.encoder_blocks
        self.conv_in = nn.Conv2d(config.image_channels, width, 3, padding=1)
        self.levels = nn.ModuleList(_blocks(width, count) for count in counts)
        self.downsample = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False) for _ in range(len(counts) - 1)
        )
        self.conv_out = nn.Conv2d(width, config.latent_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, H, W) in [-1, 1] -> (b, c, H / f, W / f)."""
        x = self.levels[0](self.conv_in((image + 1) / 2))  # its pixels are in [0, 1]
        for downsample, level in zip(self.downsample, self.levels[1:], strict=True):
            x = level(downsample(x))
        return self.conv_out(x)


class TinyDecoder(nn.Module):
    """Latent -> image."""

    def __init__(self, config: TinyAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        width, counts = config.width, config.decoder_blocks
        self.conv_in = nn.Conv2d(config.latent_channels, width, 3, padding=1)
        self.levels = nn.ModuleList(_blocks(width, count) for count in counts)
        self.upsample = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(len(counts) - 1))
        self.conv_out = nn.Conv2d(width, config.image_channels, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, 3, f h, f w), about in [-1, 1]."""
        x = functional.relu(self.conv_in(MAGNITUDE * torch.tanh(latent / MAGNITUDE)))
        for level, upsample in zip(self.levels[:-1], self.upsample, strict=True):
            x = upsample(functional.interpolate(level(x), scale_factor=2, mode="nearest"))
        return 2 * self.conv_out(self.levels[-1](x)) - 1


class TinyAutoencoder(nn.Module):
    """Both halves, which are also published and opened apart."""

    def __init__(self, config: TinyAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = TinyEncoder(config)
        self.decoder = TinyDecoder(config)

    @classmethod
    def joined(cls, encoder: TinyEncoder, decoder: TinyDecoder) -> TinyAutoencoder:
        """The autoencoder that two halves make; raises BadInput where they do not speak of the same latents."""
        _check_same_latents("tiny encoder", encoder.config, decoder.config)
        with torch.device("meta"):
            whole = cls(replace(encoder.config, decoder_blocks=decoder.config.decoder_blocks))
        whole.encoder, whole.decoder = encoder, decoder
        return whole

    def encode(self, image: Tensor) -> Point:
        """(b, 3, H, W) in [-1, 1] -> the latent (b, c, H / f, W / f), as a distribution without spread."""
        return Point(self.encoder(image))

    def decode(self, latent: Tensor) -> Tensor:
        """Latent (b, c, h, w), of the scale that the UNet sees -> image (b, 3, f h, f w), about in [-1, 1]."""
        return self.decoder(latent)

    def forward(self, image: Tensor) -> Tensor:
        """The image as it comes back: (b, 3, H, W) -> (b, 3, H, W)."""
        return self.decode(self.encode(image).mean)


class WithTinyDecoder(nn.Module):
    """A large autoencoder of which a tiny decoder does the decoding: for a decoder that was published alone."""

    def __init__(self, autoencoder: Autoencoder, decoder: TinyDecoder) -> None:
        super().__init__()
        _check_same_latents("autoencoder", autoencoder.config, decoder.config)
        self.config = autoencoder.config
        self.autoencoder = autoencoder
        self.decoder = decoder

    def encode(self, image: Tensor) -> Distribution:
        """As the large one does it."""
        return self.autoencoder.encode(image)

    def decode(self, latent: Tensor) -> Tensor:
        """Unscaled latent (b, c, h, w) -> image (b, 3, f h, f w), about in [-1, 1]."""
        return self.decoder(latent * self.config.scale)


def _check_same_latents(
    name: str, ours: AutoencoderConfig | TinyAutoencoderConfig, decoder: TinyAutoencoderConfig
) -> None:
    for field in ("image_channels", "latent_channels", "factor"):
        found = getattr(ours, field), getattr(decoder, field)
        if found[0] != found[1]:
            raise BadInput(f"The {name}'s {field} is {found[0]}, the tiny decoder's {found[1]}; they must agree.")


def to_unit_range(latent: Tensor) -> Tensor:
    """Latents as numbers in [0, 1], for instance to keep them in an 8-bit picture."""
    return (latent / (2 * MAGNITUDE) + 0.5).clamp(0, 1)


def from_unit_range(numbers: Tensor) -> Tensor:
    """The way back from `to_unit_range`."""
    return (numbers - 0.5) * (2 * MAGNITUDE)
