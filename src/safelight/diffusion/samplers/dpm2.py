"""DPM-Solver-2 in the sigma picture (Lu et al. 2022a, Algorithm 1): the noise estimate of a step is that at its middle.

The middle is taken in the logarithm of sigma. Katherine Crowson's form, after Karras et al. 2022, Algorithm 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import noise_estimate, toward
from safelight.diffusion.samplers.step import Step, intervals


def dpm2(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """Two network calls a step, one for a step to 0; second order; draws no noise."""
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        if step.next_sigma == 0:
            x = toward(x, denoised, step.sigma, step.next_sigma)
        else:
            middle = (step.sigma * step.next_sigma).sqrt()
            x_middle = toward(x, denoised, step.sigma, middle)
            estimate = noise_estimate(x_middle, denoiser(x_middle, middle), middle)
            x = x + (step.next_sigma - step.sigma) * estimate
        yield step.done(x, denoised)
