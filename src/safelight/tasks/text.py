"""Text to image, and with a picture to start from (Rombach et al. 2022, section 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import ALWAYS, conditioned, guided
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.tasks.task import Drawing


def from_text(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The UNet steered from the negative prompt to the prompt; one distilled from a guided one is told the scale."""
    along, without = contexts(networks, run, drawing.prompt)
    if networks.unet.config.guidance_width:
        if run.guidance.interval != ALWAYS:
            raise BadInput(
                f"guidance_start is {run.request.guidance_start} and guidance_end {run.request.guidance_end}; this "
                "model was distilled with its guidance inside, so they must be 0 and 1."
            )
        scale = torch.tensor([run.request.guidance_scale], device=along.device)
        return conditioned(networks.predict, Conditioning(context=along, guidance=scale))
    return guided(networks.predict, along, without, *run.guidance)


def contexts(networks: Networks, run: Run, prompt: str) -> tuple[Tensor, Tensor]:
    """The vectors of the prompt and of the negative prompt, (1, n, d) each."""
    # Without guidance nothing reads the negative prompt; a long one would only draw out the context.
    return networks.contexts(prompt, "" if run.request.guidance_scale == 1 else run.request.negative_prompt)
