"""LCM (Luo et al. 2023, Algorithm 3): jump to the clean estimate, then noise it again to the next level.

For networks distilled to be consistent, which need 2 to 8 steps. The boundary scalings of the paper differ from (0, 1)
by less than 1e-5 at every level that the distilled grid visits, so they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.step import Step, intervals


def lcm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call and one noise a step, no noise for a step to 0."""
    for step in intervals(sigmas):
        denoised = x = denoiser(x, step.sigma)
        if step.next_sigma > 0:
            x = denoised + step.next_sigma * noise()
        yield step.done(x, denoised)
