"""DPM-Solver++ SDE (Lu et al. 2022b, in Katherine Crowson's form): a noisy trip to the middle, then the noisy step.

The middle is taken in log sigma; the step goes towards the clean estimate made there.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import ancestral
from safelight.diffusion.samplers.step import Step, intervals


def dpmpp_sde(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """Two network calls and two noises a step, one call and no noise for a step to 0."""
    for step in intervals(sigmas):
        denoised = aim = denoiser(x, step.sigma)
        if step.next_sigma > 0:
            middle = (step.sigma * step.next_sigma).sqrt()
            aim = denoiser(ancestral(x, denoised, step.sigma, middle, noise), middle)
        x = ancestral(x, aim, step.sigma, step.next_sigma, noise)
        yield step.done(x, denoised)
