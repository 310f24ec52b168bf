"""Grids: which noise levels a run of n steps visits, from the noisiest down.

karras and exponential place sigmas (Karras et al. 2022, equation 5, and the same with rho -> infinity); leading,
trailing and linspace place timesteps (Lin et al. 2023, table 2); distilled takes the timesteps that consistency
distillation trained (Luo et al. 2023). How a grid is ended and rounded differs between samplers: see plan.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput

RHO = 7.0  # Karras et al. 2022: how strongly the sigmas crowd at the clean end
DISTILLED_LEVELS = 50


class Levels(NamedTuple):
    """The levels visited: sigmas, falling, and the timestep that the network is told at each. Both (n,) float64."""

    sigmas: Tensor
    timesteps: Tensor


Grid = Callable[[Schedule, int], Levels]


def karras(schedule: Schedule, steps: int) -> Levels:
    """Sigmas evenly spaced in sigma^(1 / rho), from the largest of training to the smallest."""
    root = schedule.sigmas[[-1, 0]].double() ** (1 / RHO)
    return _at_sigmas(schedule, torch.lerp(root[0], root[1], _ramp(steps)) ** RHO)


def exponential(schedule: Schedule, steps: int) -> Levels:
    """Sigmas evenly spaced in their logarithm, from the largest of training to the smallest."""
    ends = schedule.sigmas[[-1, 0]].double().log()
    return _at_sigmas(schedule, torch.lerp(ends[0], ends[1], _ramp(steps)).exp())


def leading(schedule: Schedule, steps: int) -> Levels:
    """Whole timesteps in equal strides counted from the clean end, all shifted up by one, as Stable Diffusion does.

    The shift is left out where it would pass the last level, which happens when every level is visited.
    """
    timesteps = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (schedule.levels // steps)
    shift = min(1, schedule.levels - 1 - int(timesteps[0]))
    return _at_timesteps(schedule, timesteps + shift)


def trailing(schedule: Schedule, steps: int) -> Levels:
    """Whole timesteps in nearly equal strides counted from the noisy end, which is always visited."""
    stride = schedule.levels - (schedule.levels - schedule.levels / steps)  # rounded as numpy's arange rounds: ties
    timesteps = schedule.levels - torch.arange(steps, dtype=torch.float64) * stride
    return _at_timesteps(schedule, timesteps.round() - 1)


def linspace(schedule: Schedule, steps: int) -> Levels:
    """Timesteps, perhaps fractional, that divide the whole range evenly; a single step visits the noisy end."""
    stride = (schedule.levels - 1) / max(steps - 1, 1)
    remaining = torch.arange(max(steps - 1, 1), -1, -1, dtype=torch.float64)
    return _at_timesteps(schedule, (remaining * stride)[:steps])


def distilled(schedule: Schedule, steps: int) -> Levels:
    """Of the 50 evenly spaced timesteps that a latent consistency model was trained on, every so many."""
    if not steps <= DISTILLED_LEVELS <= schedule.levels:
        raise BadInput(f"steps is {steps}; the distilled grid allows 1 to {min(DISTILLED_LEVELS, schedule.levels)}.")
    picked = (torch.arange(steps, dtype=torch.float64) * DISTILLED_LEVELS / steps).floor()
    return _at_timesteps(schedule, (DISTILLED_LEVELS - picked) * (schedule.levels // DISTILLED_LEVELS) - 1)


GRIDS: dict[str, Grid] = {
    "karras": karras,
    "exponential": exponential,
    "leading": leading,
    "trailing": trailing,
    "linspace": linspace,
    "distilled": distilled,
}


def whole(grid: Grid) -> Grid:
    """`grid` moved to the nearest whole levels, sigmas and timesteps both."""

    def rounded(schedule: Schedule, steps: int) -> Levels:
        return _at_timesteps(schedule, grid(schedule, steps).timesteps.round())

    return rounded


def told_nearest(grid: Grid) -> Grid:
    """`grid` whose sigmas stay where they are while the network is told the nearest whole timestep."""

    def rounded(schedule: Schedule, steps: int) -> Levels:
        sigmas, timesteps = grid(schedule, steps)
        return Levels(sigmas, timesteps.round())

    return rounded


def told_below(grid: Grid) -> Grid:
    """`grid` whose sigmas stay where they are while the network is told the whole timestep below."""

    def truncated(schedule: Schedule, steps: int) -> Levels:
        sigmas, timesteps = grid(schedule, steps)
        return Levels(sigmas, timesteps.floor())

    return truncated


def without_cleanest(grid: Grid) -> Grid:
    """`grid` of one level more, the cleanest of which is then not visited: the run's end takes its place."""

    def shortened(schedule: Schedule, steps: int) -> Levels:
        if steps >= schedule.levels:
            raise BadInput(f"steps is {steps}; this sampler allows 1 to {schedule.levels - 1} on this grid.")
        sigmas, timesteps = grid(schedule, steps + 1)
        return Levels(sigmas[:-1], timesteps[:-1])

    return shortened


def _ramp(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=torch.float64)


def _at_sigmas(schedule: Schedule, sigmas: Tensor) -> Levels:
    return Levels(sigmas, schedule.timestep(sigmas))


def _at_timesteps(schedule: Schedule, timesteps: Tensor) -> Levels:
    return Levels(schedule.sigma(timesteps), timesteps)
