"""Redrawing a part of a picture, with a UNet that sees the mask and the rest of the picture.

Rombach et al. 2022, section 4.5, without text; Stable Diffusion's inpainting models, with it. They join mask and
masked picture in different orders and measure them differently.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import conditioned, guided
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.source import Source
from safelight.tasks.task import Drawing
from safelight.tasks.text import contexts

GREY, BLACK = 0.0, -1.0  # of what is hidden, in [-1, 1]


def from_hole_and_text(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """Mask (1 is redrawn) and the latent of the picture with a grey hole, sampled, joined in that order."""
    source = _source(run)
    mask = _small(source.mask_tensor, networks).to(networks.placement.device)
    found = networks.encoded(_with_hole(source, GREY))
    along, without = contexts(networks, run, drawing.prompt)

    @cache  # drawn at the first step: the start noise comes first, as in diffusers
    def beside() -> Tensor:
        masked = found.sample(drawing.generator) * networks.autoencoder.config.scale
        return torch.cat([mask, masked], dim=1)

    def predict(latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        shown = beside().expand(len(latent), -1, -1, -1)
        return networks.predict(latent, timestep, Conditioning(context=context, beside=shown))

    return guided(predict, along, without, run.request.guidance_scale, run.request.guidance_rescale)


def from_hole(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The latent of the picture with a black hole, unsampled, and the mask in [-1, 1], joined in that order."""
    source = _source(run)
    masked = networks.encoded(_with_hole(source, BLACK)).mean * networks.autoencoder.config.scale
    mask = _small(2 * source.mask_tensor - 1, networks).to(masked)
    return conditioned(networks.predict, Conditioning(beside=torch.cat([masked, mask], dim=1)))


def _source(run: Run) -> Source:
    if run.source is None or run.source.mask is None:
        raise BadInput("This model redraws a part of a picture: it needs image and mask_image.")
    return run.source


def _with_hole(source: Source, shade: float) -> Tensor:
    mask = source.mask_tensor
    return source.image * (1 - mask) + shade * mask


def _small(mask: Tensor, networks: Networks) -> Tensor:
    """(1, 1, H, W) -> (1, 1, h, w), one pixel of each square, as these models were trained."""
    factor = networks.autoencoder.config.factor
    return functional.interpolate(mask, size=(mask.shape[2] // factor, mask.shape[3] // factor), mode="nearest")
