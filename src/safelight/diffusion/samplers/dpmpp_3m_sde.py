"""SDE-DPM-Solver++ 3M: fresh noise at each step, towards an estimate extrapolated from the last three.

Lu et al. 2022b, section 5, with the slope taken from a parabola in log sigma. Lower orders serve at the start, in the
last step to 0 and, in runs that were planned with fewer than 15 steps, in the one before.

The parabola's curvature enters as in diffusers, so that a seed gives the picture that it gives there. That is not what
integrating the parabola gives, ((decay - 2h) / 2h^2 + 1) / decay in the terms of `through_three`, and costs accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.dpmpp_2m import extrapolated
from safelight.diffusion.samplers.moves import ancestral
from safelight.diffusion.samplers.step import Interval, Step, intervals

SHORT_RUN = 15


def dpmpp_3m_sde(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, *, planned: int | None = None
) -> Iterator[Step]:
    """One network call and one noise a step. planned: steps of the whole run, where `sigmas` are the rest of it."""
    short = (planned or len(sigmas) - 1) < SHORT_RUN
    estimates: list[Tensor] = []  # the newest first
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        estimates = [denoised, *estimates][:3]
        x = ancestral(x, _aim(estimates, sigmas, step, short), step.sigma, step.next_sigma, noise)
        yield step.done(x, denoised)


def _aim(estimates: Sequence[Tensor], sigmas: Tensor, step: Interval, short: bool) -> Tensor:
    if len(estimates) == 1 or step.next_sigma == 0:
        return estimates[0]
    if len(estimates) == 2 or (short and step.index == step.total - 2):
        return extrapolated(estimates[0], estimates[1], sigmas[step.index - 1], step.sigma, step.next_sigma)
    return through_three(estimates, sigmas[step.index - 2 : step.index + 2])


def through_three(estimates: Sequence[Tensor], sigmas: Tensor) -> Tensor:
    """The clean estimate to aim at, from three (the newest first) and sigmas (4,): theirs, oldest first, and the next.

    With t = -log sigma and step widths h_older, h_old, h: the parabola's slope and curvature, in units of the coming
    step, enter weighted; the slope by its share of the integral of exp(2 (s - t)), which the noise brings in.
    """
    h_older, h_old, h = -sigmas.log().diff()
    old, older = h_old / h, h_older / h
    new_slope = (estimates[0] - estimates[1]) / old
    old_slope = (estimates[1] - estimates[2]) / older
    curvature = (new_slope - old_slope) / (old + older)
    slope = new_slope + old * curvature
    decay = -torch.expm1(-2 * h)
    slope_share = (1 - decay / (2 * h)) / decay
    curvature_share = ((decay - 2 * h) / (2 * h) ** 2 - 1 / 2) / decay
    aim: Tensor = estimates[0] + slope_share * slope + curvature_share * curvature
    return aim
