"""UniPC (Zhao et al. 2023, Algorithms 1 and 2, order 2, B_2(h), data prediction): predict, and correct a step later.

The predictor is DPM-Solver++ 2M. Once the network has been asked at the new level, the same answer also corrects the
step that led there, at no further call.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.dpmpp_2m import extrapolated
from safelight.diffusion.samplers.moves import toward
from safelight.diffusion.samplers.step import Step, intervals


def unipc(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call a step; second order, the corrector third; draws no noise."""
    estimates: list[Tensor] = []  # the newest first
    start = x  # of the last step, corrected
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        if step.index > 0:
            aim = corrected(denoised, estimates, sigmas[max(step.index - 2, 0) : step.index + 1])
            x = toward(start, aim, sigmas[step.index - 1], step.sigma)
        start, estimates = x, [denoised, *estimates][:2]
        aim = denoised
        if step.index > 0 and step.next_sigma > 0:
            aim = extrapolated(denoised, estimates[1], sigmas[step.index - 1], step.sigma, step.next_sigma)
        x = toward(start, aim, step.sigma, step.next_sigma)
        yield step.done(x, denoised)


def corrected(arrived: Tensor, estimates: list[Tensor], sigmas: Tensor) -> Tensor:
    """What the last step should have aimed at, now that the estimate where it `arrived` is known.

    estimates: one or two, the newest (the step's start) first. sigmas: (2 or 3,), those of the estimates, oldest first,
    and of the arrival. The weights match the first two moments of exp(-s) over the step (Zhao et al. 2023, section 3).
    """
    gain = arrived - estimates[0]
    if len(estimates) == 1:
        return estimates[0] + gain / 2
    h_last, h = -sigmas.log().diff()
    ratio = -h_last / h
    change = torch.expm1(-h)
    first_moment = -(change / h + 1) / change
    second_moment = 2 * ((change / h + 1) / h - 1 / 2) / change
    past_weight = (first_moment - second_moment) / (1 - ratio)
    past = (estimates[1] - estimates[0]) / ratio
    aim: Tensor = estimates[0] + past_weight * past + (first_moment - past_weight) * gain
    return aim
