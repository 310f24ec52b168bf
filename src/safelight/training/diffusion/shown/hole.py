"""A picture with a hole beside the noisy latent: what an inpainting model sees (Rombach et al. 2022, section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import torch
from torch import Generator, Tensor

from safelight.autoencoder import DiagonalGaussian, Distribution
from safelight.conditioning.hole import with_hole
from safelight.diffusion.conditioning import Conditioning
from safelight.images import mask_to_tensor
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.masks import random_mask
from safelight.training.diffusion.views import View
from safelight.weights.parts import AnyAutoencoder

Join = Callable[[Tensor, Tensor, int], Tensor]  # masked latent, mask, factor -> what is joined to the latent
Draw = Callable[[Distribution, Tensor], Tensor]  # what the encoder says, noise -> unscaled latent


def sampled(found: Distribution, noise: Tensor) -> Tensor:
    """One latent of the distribution, by that noise."""
    if isinstance(found, DiagonalGaussian):
        return found.mean + torch.exp(0.5 * found.log_variance) * noise.to(found.mean)
    return found.mean


def most_likely(found: Distribution, noise: Tensor) -> Tensor:
    """The middle of the distribution."""
    return found.mean


class ShownHole:
    """The picture itself, with a random part of it hidden in one shade, and the mask of that part."""

    def __init__(self, autoencoder: AnyAutoencoder, shade: float, draw: Draw, join: Join) -> None:
        self.config = autoencoder.config
        self.shade = shade
        self.draw = draw
        self.join = join

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The picture with a hole (3, H, W), the mask (1, H, W), and noise (c, h, w) to draw its latent by."""
        mask = mask_to_tensor(random_mask(view.size, random))
        width, height = (side // self.config.factor for side in view.size)
        source = Generator().manual_seed(random.getrandbits(63))
        return {
            "masked": with_hole(view.image(), mask, self.shade),
            "mask": mask,
            "masked_noise": torch.randn(self.config.latent_channels, height, width, generator=source),
        }

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same with a hole that follows from the record's name."""
        return self.entries(view, Random(view.record.key))

    @torch.no_grad()
    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The mask and the scaled latent of what is left of the picture."""
        device = next(learner.network.parameters()).device
        found = learner.parts.autoencoder.encode(batch["masked"].to(device)).float()
        masked = self.draw(found, batch["masked_noise"]) * self.config.scale
        return Conditioning(beside=self.join(masked, batch["mask"].to(device), self.config.factor))

    def request(self, view: View) -> dict[str, Any]:
        """The picture and the mask of the fixed entries."""
        return {"image": view.picture(), "mask_image": random_mask(view.size, Random(view.record.key))}
