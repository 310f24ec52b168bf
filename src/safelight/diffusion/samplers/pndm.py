"""PNDM (Liu et al. 2022, Algorithm 2): three pseudo Runge-Kutta steps of fourth order, then PLMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.averaging import OF_NOISE, Averaging
from safelight.diffusion.samplers.plms import ADAMS_BASHFORTH, adams_bashforth
from safelight.diffusion.samplers.step import Interval, Step, intervals

Halfway = Callable[[Tensor, Tensor], Tensor]  # two sigmas -> the sigma between them
RUNGE_KUTTA_STEPS = 3


def mean(sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """Halfway in sigma, where no schedule says what is halfway in time."""
    return (sigma + next_sigma) / 2


def pndm(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    averaging: Averaging = OF_NOISE,
    halfway: Halfway = mean,
) -> Iterator[Step]:
    """Four network calls in each of the first three steps, then one; draws no noise.

    `averaging` says what is averaged, `halfway` names the level in the middle of a Runge-Kutta step. A step to 0 is
    never one of them.
    """
    estimates: list[Tensor] = []
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        estimates = [averaging.estimate(x, denoised, step.sigma), *estimates][: len(ADAMS_BASHFORTH)]
        if step.index < RUNGE_KUTTA_STEPS and step.next_sigma > 0:
            average = runge_kutta(denoiser, x, estimates[0], step, averaging, halfway)
        else:
            average = adams_bashforth(estimates)
        x = x + (step.next_sigma - step.sigma) * averaging.noise(average, x, step.sigma)
        yield step.done(x, denoised)


def runge_kutta(
    denoiser: Denoiser, x: Tensor, first: Tensor, step: Interval, averaging: Averaging, halfway: Halfway
) -> Tensor:
    """The classical average of four estimates over a step (Liu et al. 2022, section 3)."""

    def estimate_at(sigma: Tensor, before: Tensor) -> Tensor:
        trial = x + (sigma - step.sigma) * averaging.noise(before, x, step.sigma)
        return averaging.estimate(trial, denoiser(trial, sigma), sigma)

    middle = halfway(step.sigma, step.next_sigma)
    second = estimate_at(middle, first)
    third = estimate_at(middle, second)
    fourth = estimate_at(step.next_sigma, third)
    return (first + 2 * second + 2 * third + fourth) / 6
