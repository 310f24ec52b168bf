"""The plan of a run: everything that a sampler's name, a grid's name and a number of steps decide.

Samplers come from different papers and codes, and each brought its own habits: where its grid ends, whether the network
is told whole timesteps, how the start noise is scaled. CONVENTIONS holds them all; a plan then gives the same picture
as the diffusers scheduler named there with Stable Diffusion's settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from safelight.diffusion.denoiser import TimestepOf
from safelight.diffusion.grids import (
    GRIDS,
    Grid,
    Levels,
    distilled,
    exponential,
    karras,
    leading,
    linspace,
    told_below,
    told_nearest,
    trailing,
    whole,
    without_cleanest,
)
from safelight.diffusion.guidance import ALWAYS, NEVER, Interval
from safelight.diffusion.samplers import SAMPLERS, Sampler
from safelight.diffusion.samplers.averaging import OF_NOISE, OF_VELOCITY, Averaging
from safelight.diffusion.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from safelight.diffusion.samplers.plms import plms
from safelight.diffusion.samplers.pndm import pndm
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput, unknown_name

End = Callable[[Schedule], float]
Start = Callable[[float], float]


def at_zero(schedule: Schedule) -> float:
    """The run ends without noise."""
    return 0.0


def at_smallest(schedule: Schedule) -> float:
    """The run ends at the cleanest level of training, as if that were a clean picture."""
    return float(schedule.sigmas[0])


def noise_alone(sigma: float) -> float:
    """x starts as sigma * noise."""
    return sigma


def unit_variance(sigma: float) -> float:
    """x starts as sqrt(1 + sigma^2) * noise: noise of unit variance in the variance-preserving picture."""
    return float((1 + sigma**2) ** 0.5)


@dataclass(frozen=True)
class Course:
    """One grid as one family of samplers runs it."""

    grid: Grid
    end: End
    start: Start


Courses = Mapping[str, Course]

# Born in the sigma picture (Karras et al. 2022): fractional timesteps, interpolated.
SIGMA_COURSES: Courses = {
    "karras": Course(karras, at_zero, noise_alone),
    "exponential": Course(exponential, at_zero, noise_alone),
    "leading": Course(leading, at_zero, unit_variance),
    "trailing": Course(trailing, at_zero, noise_alone),
    "linspace": Course(linspace, at_zero, noise_alone),
    "distilled": Course(distilled, at_zero, noise_alone),
}
MIDPOINT_COURSES: Courses = {**SIGMA_COURSES, "karras": Course(told_nearest(karras), at_zero, noise_alone)}

# Exponential integrators (Lu et al. 2022, Zhao et al. 2023): whole timesteps, the run's end counted among them.
INTEGRATOR_COURSES: Courses = {
    "karras": Course(told_nearest(karras), at_zero, unit_variance),
    "exponential": Course(told_below(exponential), at_zero, unit_variance),
    "leading": Course(without_cleanest(leading), at_zero, unit_variance),
    "trailing": Course(trailing, at_zero, unit_variance),
    "linspace": Course(whole(without_cleanest(linspace)), at_zero, unit_variance),
    "distilled": Course(distilled, at_zero, unit_variance),
}


def level_courses(end: End) -> Courses:
    """Born in the variance-preserving picture (DDPM, DDIM): whole timesteps, ending at `end`.

    karras and exponential, which visit the smallest sigma themselves, end at 0.
    """
    return {
        "karras": Course(told_nearest(karras), at_zero, unit_variance),
        "exponential": Course(told_nearest(exponential), at_zero, unit_variance),
        "leading": Course(leading, end, unit_variance),
        "trailing": Course(trailing, end, unit_variance),
        "linspace": Course(whole(linspace), end, unit_variance),
        "distilled": Course(distilled, end, unit_variance),
    }


def as_it_is(sampler: Sampler, schedule: Schedule, steps: int) -> Sampler:
    """Most samplers need nothing but the sigmas."""
    return sampler


def averaging_of(schedule: Schedule) -> Averaging:
    """What PLMS and PNDM average: what the network predicts, which only the schedule knows."""
    return OF_VELOCITY if schedule.config.prediction == "v" else OF_NOISE


def with_averaging(sampler: Sampler, schedule: Schedule, steps: int) -> Sampler:
    """PLMS, told what to average."""
    return partial(plms, averaging=averaging_of(schedule))


def with_halfway_levels(sampler: Sampler, schedule: Schedule, steps: int) -> Sampler:
    """PNDM, told so too; its Runge-Kutta start visits the level halfway in timesteps."""
    return partial(pndm, averaging=averaging_of(schedule), halfway=schedule.halfway)


def with_planned_steps(sampler: Sampler, schedule: Schedule, steps: int) -> Sampler:
    """SDE-DPM-Solver++ 3M, told how long the run is when it starts late."""
    return partial(dpmpp_3m_sde, planned=steps)


@dataclass(frozen=True)
class Convention:
    """The habits of one sampler."""

    counterpart: str  # the diffusers class that gives the same picture
    grid: str  # where the caller names none
    courses: Courses
    bind: Callable[[Sampler, Schedule, int], Sampler] = as_it_is


CONVENTIONS: dict[str, Convention] = {
    "ddpm": Convention("DDPMScheduler", "leading", level_courses(at_zero)),
    "ddim": Convention("DDIMScheduler", "leading", level_courses(at_smallest)),
    "pndm": Convention("PNDMScheduler", "leading", level_courses(at_smallest), with_halfway_levels),
    "plms": Convention("PNDMScheduler(skip_prk_steps=True)", "leading", level_courses(at_smallest), with_averaging),
    "lms": Convention("LMSDiscreteScheduler", "linspace", SIGMA_COURSES),
    "heun": Convention("HeunDiscreteScheduler", "linspace", SIGMA_COURSES),
    "euler": Convention("EulerDiscreteScheduler", "linspace", SIGMA_COURSES),
    "euler_ancestral": Convention("EulerAncestralDiscreteScheduler", "linspace", SIGMA_COURSES),
    "dpm2": Convention("KDPM2DiscreteScheduler", "linspace", MIDPOINT_COURSES),
    "dpmpp_2m": Convention("DPMSolverMultistepScheduler", "linspace", INTEGRATOR_COURSES),
    "dpmpp_2s_ancestral": Convention("none", "linspace", SIGMA_COURSES),
    "dpmpp_sde": Convention("DPMSolverSDEScheduler", "linspace", SIGMA_COURSES),
    "dpmpp_2m_sde": Convention(
        "DPMSolverMultistepScheduler(algorithm_type='sde-dpmsolver++')", "linspace", INTEGRATOR_COURSES
    ),
    "dpmpp_3m_sde": Convention(
        "DPMSolverMultistepScheduler(algorithm_type='sde-dpmsolver++', solver_order=3)",
        "linspace",
        INTEGRATOR_COURSES,
        with_planned_steps,
    ),
    "unipc": Convention("UniPCMultistepScheduler", "linspace", INTEGRATOR_COURSES),
    "lcm": Convention("LCMScheduler", "distilled", level_courses(at_zero)),
}


@dataclass(frozen=True)
class Plan:
    """A run laid out.

    sampler: to be called as `sampler(denoiser, x, sigmas, noise)`. sigmas: (steps + 1,) float32 on the CPU, falling; a
    run may start late by leaving out the first of them. timestep_of: which timestep the network is told, for
    `as_denoiser`. start_scale: x starts as this times unit noise.
    """

    sampler: Sampler
    sigmas: Tensor
    timestep_of: TimestepOf
    start_scale: float

    def steered(self, start: float, end: float, first: int = 0) -> Interval:
        """The timesteps with guidance, where the steps between these shares of all have it.

        first: the steps that a late start leaves out, which do not count. Shares that hold anything hold a step.
        """
        levels = self.sigmas[first:-1]
        if start >= end or not len(levels):
            return NEVER
        begun = min(round(start * len(levels)), len(levels) - 1)
        done = max(round(end * len(levels)), begun + 1)
        highest = float(self.timestep_of(levels[begun])) if begun else ALWAYS.highest
        lowest = float(self.timestep_of(levels[done - 1])) if done < len(levels) else ALWAYS.lowest
        return Interval(lowest, highest)


def plan(schedule: Schedule, sampler: str, grid: str | None, steps: int) -> Plan:
    """Lay out a run of `steps` steps of `sampler` on `grid`, or on the sampler's usual grid where that is None."""
    if sampler not in CONVENTIONS:
        raise unknown_name("sampler", sampler, CONVENTIONS)
    convention = CONVENTIONS[sampler]
    name = convention.grid if grid is None else grid
    if name not in convention.courses:
        raise unknown_name("grid", name, GRIDS)
    if not isinstance(steps, int) or not 1 <= steps <= schedule.levels:
        raise BadInput(f"steps is {steps!r}; it must be a whole number from 1 to {schedule.levels}.")
    course = convention.courses[name]
    levels = course.grid(schedule, steps)
    end = torch.tensor([course.end(schedule)], dtype=torch.float64)
    return Plan(
        sampler=convention.bind(SAMPLERS[sampler], schedule, steps),
        sigmas=torch.cat([levels.sigmas, end]).float(),
        timestep_of=_lookup(schedule, levels),
        start_scale=course.start(float(levels.sigmas[0])),
    )


def _lookup(schedule: Schedule, levels: Levels) -> TimestepOf:
    """The grid's own timestep for a sigma of the grid; an interpolated one between, where midpoint methods look."""
    known = dict(zip(levels.sigmas.float().tolist(), levels.timesteps.tolist(), strict=True))

    def timestep_of(sigma: Tensor) -> Tensor:
        between = schedule.timestep(sigma.cpu()).flatten().tolist()
        told = [known.get(value, other) for value, other in zip(sigma.flatten().tolist(), between, strict=True)]
        return torch.tensor(told, dtype=torch.float32).reshape(sigma.shape)

    return timestep_of
