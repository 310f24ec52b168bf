"""A small picture to a large one: Stable Diffusion's x4 upscaler, and bsr_sr (Rombach et al. 2022, section 4.4)."""

from __future__ import annotations

import torch

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import conditioned, guided
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.source import Source
from safelight.tasks.task import Drawing
from safelight.tasks.text import contexts

NOISE_LEVEL = 20  # of the small picture, by default
NOISIEST = 350  # what the upscaler was trained with


def from_small_picture_and_text(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The small picture, with noise of a level that the UNet is told as a label, is joined to the latent."""
    level = NOISE_LEVEL if run.request.noise_level is None else run.request.noise_level
    if level > NOISIEST:
        raise BadInput(f"noise_level is {level}; this model was trained with 0 to {NOISIEST}.")
    schedule = networks.noise_schedule
    if schedule is None:
        raise BadInput("This model has no noise law for the small picture (low_res_scheduler).")
    image = _source(run).image.to(networks.placement.device)
    label = torch.tensor([level], device=image.device)
    noisy = schedule.add_noise(image, networks.sample_noise(image.shape, drawing.generator), label)
    along, without = (
        Conditioning(context=context, beside=noisy, label=label) for context in contexts(networks, run, drawing.prompt)
    )
    return guided(networks.predict, along, without, *run.guidance)


def from_small_picture(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The small picture itself is joined to the latent, which is of its size."""
    return conditioned(networks.predict, Conditioning(beside=_source(run).image.to(networks.placement.device)))


def _source(run: Run) -> Source:
    if run.source is None:
        raise BadInput("This model enlarges a picture: it needs image.")
    return run.source
