"""Stage one: an autoencoder learns to give pictures back (Rombach et al. 2022, section 3.1).

The loss is the absolute and squared error of the pixels, the absolute error of their differences to neighbours (edges),
and a lightly weighted divergence of the latents from the standard normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch import Tensor

from safelight.autoencoder import Autoencoder, Distribution, Point
from safelight.configs import AutoencoderConfig
from safelight.data.backdrop import on_colour, on_random_colour, to_square
from safelight.data.collection import Record, fingerprint, split_up
from safelight.images import to_picture, to_tensor
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.engine.noise import SampleNoise
from safelight.weights import save_autoencoder

EVALUATED = {"photo": 48, "illustration": 96}  # held-out pictures at most, of each kind
SHOWN = 6  # of each kind, on a sheet
FIRST_LOG_VARIANCE = -5.0  # latents start nearly free of noise: from 0 the first thousand steps go into getting there


def edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the right and to the lower neighbour: (b, c, h, w - 1) and (b, c, h - 1, w)."""
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]


def reconstruction_loss(reconstruction: Tensor, image: Tensor, *, square_weight: float, edge_weight: float) -> Tensor:
    """Mean absolute and, weighted, squared error of pixels and absolute error of edges; both images (b, 3, h, w)."""
    difference = reconstruction - image
    error = difference.abs().mean() + square_weight * difference.square().mean()
    for ours, theirs in zip(edges(reconstruction), edges(image), strict=True):
        error = error + edge_weight * (ours - theirs).abs().mean()
    return error


def psnr(reconstruction: Tensor, image: Tensor) -> Tensor:
    """(b,) peak signal-to-noise ratio in decibels, of images (b, 3, h, w) in [-1, 1] after rounding to 8 bits."""
    rounded = ((reconstruction.float().clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return -10 * torch.log10((rounded - image).square().flatten(1).mean(1).clamp_min(1e-10) / 4)


class AutoencoderTask:
    """The autoencoder with its pictures; see `training.task.Task`."""

    def __init__(self, config: AutoencoderConfig, loss: AutoencoderLossConfig, records: list[Record]) -> None:
        training, held_out = split_up(records)
        self.network = new_autoencoder(config)
        self.settings = loss
        self.size = len(training)
        self.fingerprint = fingerprint(training)
        self.kinds = [kind for kind in reversed(by_kind(training).values()) if kind]  # drawings, then photos
        mixed = sorted(held_out, key=lambda record: record.key[::-1])  # all sources mixed
        self.held_out = {kind: found[: EVALUATED[kind]] for kind, found in by_kind(mixed).items()}
        # What sheets show and the latents' scale is measured on: training pictures only where nothing is held out.
        self.examples = self.held_out if held_out else {"any": training[: EVALUATED["illustration"]]}

    def sample(self, index: int, random: Random) -> Tensor:
        """A random crop (3, crop, crop) in [-1, 1]."""
        kind = self.kinds[-1] if random.random() < self.settings.photo_share else self.kinds[0]
        picture = to_square(kind[index % len(kind)].picture(), self.settings.size)
        room = self.settings.size - self.settings.crop
        left, top = random.randint(0, room), random.randint(0, room)
        part = picture.crop((left, top, left + self.settings.crop, top + self.settings.crop))
        tensor = to_tensor(on_random_colour(part, random))
        return tensor.flip(-1) if random.random() < 0.5 else tensor

    def loss(self, batch: Tensor, noise: SampleNoise) -> dict[str, Tensor]:
        """Images (b, 3, h, w) -> the terms of the loss."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        distribution = self.network.encode(batch)
        reconstruction = self.network.decode(drawn(distribution, noise)).float()
        error = reconstruction_loss(
            reconstruction,
            batch,
            square_weight=self.settings.square_weight,
            edge_weight=self.settings.edge_weight,
        )
        divergence = distribution.kl().float().mean()
        return {"loss": error + self.settings.kl_weight * divergence, "reconstruction": error, "kl": divergence}

    def evaluate(self) -> dict[str, float]:
        """PSNR of whole held-out pictures on white, illustrations and photos apart."""
        figures = {}
        for kind, records in self.held_out.items():
            if records:
                values = [psnr(self.network(image), image) for image in map(self._whole, records)]
                figures[f"psnr_{kind}"] = float(torch.cat(values).mean())
        return figures

    def sheet(self) -> Image.Image:
        """Pictures above, their reconstructions below."""
        images = [self._whole(record) for records in self.examples.values() for record in records[:SHOWN]]
        both = [torch.cat([image, self.network(image).float()], dim=2) for image in images]
        return to_picture(torch.cat(both, dim=3)[0])

    def export(self, folder: Path) -> None:
        """Write the autoencoder, with its latents brought to unit variance, into `folder/vae`."""
        self.network.config = replace(self.network.config, scale=self._scale())
        save_autoencoder(folder / "vae", self.network)

    @torch.no_grad()
    def _scale(self) -> float:
        """One over the standard deviation of the examples' latents (Rombach et al. 2022, appendix G)."""
        records = [record for records in self.examples.values() for record in records]
        latents = [self.network.encode(self._whole(record)).mean.flatten() for record in records]
        return round(float(1 / torch.cat(latents).std().clamp_min(1e-4)), 5)

    def _whole(self, record: Record) -> Tensor:
        picture = on_colour(to_square(record.picture(), self.settings.size), (255, 255, 255))
        device = next(self.network.parameters()).device
        return to_tensor(picture)[None].to(device, memory_format=torch.channels_last)


def new_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """An untrained autoencoder with little noise in its latents."""
    network = Autoencoder(config)
    bias = getattr(network.moments, "bias", None)
    if bias is not None:
        torch.nn.init.constant_(bias.data[config.latent_channels :], FIRST_LOG_VARIANCE)
    return network


def drawn(distribution: Distribution, noise: SampleNoise) -> Tensor:
    """A latent (b, c, h, w) from each picture's distribution, each with noise of its own."""
    if isinstance(distribution, Point):
        return distribution.mean
    standard = noise.normal(*distribution.mean.shape[1:]).to(distribution.mean)
    return distribution.mean + torch.exp(0.5 * distribution.log_variance) * standard


def by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Photos and illustrations apart: the field `style` says which is a photo."""
    kinds: dict[str, list[Record]] = {"photo": [], "illustration": []}
    for record in records:
        kinds["photo" if record.fields.get("style") == "photo" else "illustration"].append(record)
    return kinds
