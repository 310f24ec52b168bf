"""DPM-Solver++ 2S (Lu et al. 2022b, Algorithm 1) with fresh noise at each step: the estimate of a step is its middle's.

The middle is taken in log sigma, between `sigma` and the level that the step goes down to before noise is added.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import ancestral, toward
from safelight.diffusion.samplers.step import Step, intervals


def dpmpp_2s_ancestral(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """Two network calls and one noise a step, one call and no noise for a step to 0."""
    for step in intervals(sigmas):
        denoised = aim = denoiser(x, step.sigma)
        if step.next_sigma > 0:
            middle = step.next_sigma  # sqrt(sigma * down), where down = next_sigma^2 / sigma
            aim = denoiser(toward(x, denoised, step.sigma, middle), middle)
        x = ancestral(x, aim, step.sigma, step.next_sigma, noise)
        yield step.done(x, denoised)
