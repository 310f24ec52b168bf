"""Heun's method (Karras et al. 2022, Algorithm 1): the noise estimates at both ends of a step are averaged."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import noise_estimate
from safelight.diffusion.samplers.step import Interval, Step, intervals


def heun(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """Two network calls a step, one for a step to 0; second order; draws no noise."""
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        x = heun_step(denoiser, x, noise_estimate(x, denoised, step.sigma), step)
        yield step.done(x, denoised)


def heun_step(denoiser: Denoiser, x: Tensor, estimate: Tensor, step: Interval) -> Tensor:
    """x (b, c, h, w) at the step's end, given the noise estimate at its start."""
    width = step.next_sigma - step.sigma
    trial = x + width * estimate
    if step.next_sigma == 0:
        return trial
    estimate_there = noise_estimate(trial, denoiser(trial, step.next_sigma), step.next_sigma)
    return x + width * (estimate + estimate_there) / 2
