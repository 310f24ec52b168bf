"""DPM-Solver++ 2M (Lu et al. 2022b, Algorithm 2): Euler's method towards an estimate extrapolated from the last two."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import toward
from safelight.diffusion.samplers.step import Step, intervals


def dpmpp_2m(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call a step; second order; draws no noise."""
    before: Tensor | None = None
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        aim = denoised
        if before is not None and step.next_sigma > 0:
            aim = extrapolated(denoised, before, sigmas[step.index - 1], step.sigma, step.next_sigma)
        x = toward(x, aim, step.sigma, step.next_sigma)
        before = denoised
        yield step.done(x, denoised)


def extrapolated(denoised: Tensor, before: Tensor, last_sigma: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """The clean estimate in the middle of the coming step, linear in log sigma through the last two estimates.

    With h the width of a step in -log sigma and r = h_last / h: D + (D - D_before) / 2r.
    """
    ratio = (last_sigma.log() - sigma.log()) / (sigma.log() - next_sigma.log())
    return denoised + (denoised - before) / (2 * ratio)
