"""Redrawing a part of a picture, with a UNet that sees the mask and the rest of the picture."""

from __future__ import annotations

from functools import cache

from torch import Tensor

from safelight.conditioning.hole import BLACK, GREY, beside_nothing, beside_text, with_hole
from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import conditioned, guided
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.source import Source
from safelight.tasks.task import Drawing
from safelight.tasks.text import contexts


def from_hole_and_text(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """Mask (1 is redrawn) and the latent of the picture with a grey hole, sampled, joined in that order."""
    source, config = _source(run), networks.autoencoder.config
    found = networks.encoded(with_hole(source.image, source.mask_tensor, GREY))
    along, without = contexts(networks, run, drawing.prompt)

    @cache  # drawn at the first step: the start noise comes first, as in diffusers
    def beside() -> Tensor:
        return beside_text(found.sample(drawing.generator) * config.scale, source.mask_tensor, config.factor)

    def predict(latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        shown = beside().expand(len(latent), -1, -1, -1)
        return networks.predict(latent, timestep, Conditioning(context=context, beside=shown))

    return guided(predict, along, without, *run.guidance)


def from_hole(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The latent of the picture with a black hole, unsampled, and the mask in [-1, 1], joined in that order."""
    source, config = _source(run), networks.autoencoder.config
    masked = networks.encoded(with_hole(source.image, source.mask_tensor, BLACK)).mean * config.scale
    beside = beside_nothing(masked, source.mask_tensor, config.factor)
    return conditioned(networks.predict, Conditioning(beside=beside))


def _source(run: Run) -> Source:
    if run.source is None or run.source.mask is None:
        raise BadInput("This model redraws a part of a picture: it needs image and mask_image.")
    return run.source
