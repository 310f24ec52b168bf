"""Euler's method with fresh noise at each step, as if every step drew anew from the forward process's posterior."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import ancestral
from safelight.diffusion.samplers.step import Step, intervals


def euler_ancestral(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call and one noise a step."""
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        x = ancestral(x, denoised, step.sigma, step.next_sigma, noise)
        yield step.done(x, denoised)
