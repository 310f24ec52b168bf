"""PLMS (Liu et al. 2022, "Pseudo numerical methods", without the Runge-Kutta start): Stable Diffusion's first sampler.

The last four noise estimates are averaged with the weights of Adams and Bashforth for equal steps, and x moves
along the average as DDIM moves (their section 3). Until four are there, lower orders serve, Heun's method first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.averaging import OF_NOISE, Averaging
from safelight.diffusion.samplers.step import Interval, Step, intervals

# For a history of 1, 2, 3, 4 estimates, the newest first.
ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def plms(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, averaging: Averaging = OF_NOISE
) -> Iterator[Step]:
    """One network call a step, two in the first; draws no noise. `averaging` says what is averaged."""
    estimates: list[Tensor] = []
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        estimates = [averaging.estimate(x, denoised, step.sigma), *estimates][: len(ADAMS_BASHFORTH)]
        if step.index == 0 and step.total > 1:
            average = heun_average(denoiser, x, estimates[0], step, averaging)
        else:
            average = adams_bashforth(estimates)
        x = x + (step.next_sigma - step.sigma) * averaging.noise(average, x, step.sigma)
        yield step.done(x, denoised)


def heun_average(denoiser: Denoiser, x: Tensor, first: Tensor, step: Interval, averaging: Averaging) -> Tensor:
    """The mean of the estimate at the step's start and the one at its end."""
    trial = x + (step.next_sigma - step.sigma) * averaging.noise(first, x, step.sigma)
    return (first + averaging.estimate(trial, denoiser(trial, step.next_sigma), step.next_sigma)) / 2


def adams_bashforth(estimates: Sequence[Tensor]) -> Tensor:
    """The average over the coming step that one to four estimates (b, c, h, w), the newest first, foretell."""
    weights = ADAMS_BASHFORTH[len(estimates) - 1]
    weighted = [weight * estimate for weight, estimate in zip(weights, estimates, strict=True)]
    return sum(weighted[1:], weighted[0])
