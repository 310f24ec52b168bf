"""SDE-DPM-Solver++ 2M (Lu et al. 2022b, section 5): DPM-Solver++ 2M with fresh noise at each step."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.dpmpp_2m import extrapolated
from safelight.diffusion.samplers.moves import ancestral
from safelight.diffusion.samplers.step import Step, intervals


def dpmpp_2m_sde(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call and one noise a step."""
    before: Tensor | None = None
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        aim = denoised
        if before is not None and step.next_sigma > 0:
            aim = extrapolated(denoised, before, sigmas[step.index - 1], step.sigma, step.next_sigma)
        x = ancestral(x, aim, step.sigma, step.next_sigma, noise)
        before = denoised
        yield step.done(x, denoised)
