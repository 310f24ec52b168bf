"""A picture and an instruction to image (Brooks et al. 2023)."""

from __future__ import annotations

import torch

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import guided_twice
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.tasks.task import Drawing


def from_instruction(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The picture's latent, neither sampled nor scaled, is joined to the noisy one; two guidances steer."""
    if run.source is None:
        raise BadInput("This model changes a picture: it needs image.")
    request = run.request
    along, without = networks.contexts(drawing.prompt, request.negative_prompt)
    picture = networks.encoded(run.source.image).mean
    return guided_twice(
        networks.predict,
        Conditioning(context=along, beside=picture),
        Conditioning(context=without, beside=picture),
        Conditioning(context=without, beside=torch.zeros_like(picture)),
        picture_scale=request.image_guidance_scale,
        **run.guidance._asdict(),
    )
