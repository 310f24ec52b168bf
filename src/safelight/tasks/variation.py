"""A picture to others that mean the same: unCLIP (Ramesh et al. 2022) as Stable Diffusion 2.1 has it."""

from __future__ import annotations

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import guided
from safelight.errors import BadInput
from safelight.images import read_picture
from safelight.layers.embeddings import sinusoidal_embedding
from safelight.networks import Networks
from safelight.run import Run
from safelight.tasks.task import Drawing
from safelight.tasks.text import contexts
from safelight.text import clip_pixels


def from_meaning(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The vector of a picture, with noise, and the level of that noise are told to the UNet in place of a label."""
    along, without = contexts(networks, run, drawing.prompt)
    label = noisy_meaning(networks, run, drawing.generator)
    return guided(
        networks.predict,
        Conditioning(context=along, label=label),
        Conditioning(context=without, label=torch.zeros_like(label)),
        *run.guidance,
    )


def noisy_meaning(networks: Networks, run: Run, generator: torch.Generator) -> Tensor:
    """(1, 2 d): the picture's vector with noise of the wanted level, and the sinusoidal embedding of that level."""
    if run.request.image is None or networks.image_encoder is None:
        raise BadInput("This model varies a picture: it needs image, and an image encoder among its parts.")
    schedule, statistics = networks.noise_schedule, networks.embedding_statistics
    if schedule is None or statistics is None:
        raise BadInput("This model has no noise law or statistics for the vectors of pictures.")
    level = run.request.noise_level or 0
    if level >= schedule.levels:
        raise BadInput(f"noise_level is {level}; this model was trained with 0 to {schedule.levels - 1}.")
    vector = networks.embedded(clip_pixels(read_picture(run.request.image), networks.image_encoder.config.size)[None])
    label = torch.tensor([level], device=vector.device)
    noise = networks.sample_noise(vector.shape, generator)
    noisy = statistics.unscaled(schedule.add_noise(statistics.scaled(vector), noise, label))
    return torch.cat([noisy, sinusoidal_embedding(label, vector.shape[1])], dim=1)
