"""Euler's method, the simplest: the clean estimate is taken to hold for the whole step (Karras et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import toward
from safelight.diffusion.samplers.step import Step, intervals


def euler(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call a step; first order; draws no noise."""
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        x = toward(x, denoised, step.sigma, step.next_sigma)
        yield step.done(x, denoised)
