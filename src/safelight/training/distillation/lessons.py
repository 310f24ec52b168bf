"""What a student is asked, and how its answer counts: one class for each method of distillation.

guidance: Meng et al. 2023, section 3.1. consistency: Luo et al. 2023, Algorithm 1, with the student itself in the
place of the slowly moving target (Song & Dhariwal 2023, section 3.2). trajectories: the consistency function at the
places of ways that the teacher has walked to the end (Luhman & Luhman 2021, from noise alone; Song et al. 2023,
equation 5, from everywhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.training.distillation.consistency import Guided, jump, pseudo_huber, solver_step
from safelight.training.distillation.settings import DistillationConfig
from safelight.training.distillation.walk import walk
from safelight.training.engine.noise import SampleNoise


class Lesson(Protocol):
    """One method. Student and teacher answer for the captions of the batch at hand.

    sampler: the one that such a student draws with; None: any, as its teacher.
    """

    sampler: str | None

    def errors(self, student: Guided, teacher: Guided, batch: Mapping[str, Any], noise: SampleNoise) -> Tensor:
        """How far the student is off in each sample, (b,)."""
        ...

    def drawn(self, student: Guided, start: Tensor, guidance: Tensor) -> Tensor:
        """What it draws from noise (b, c, h, w) in as many steps as the method is meant for, drawing no more noise."""
        ...


class GuidanceLesson:
    """Predict in one pass what the teacher predicts in two: at every level, for noisy pictures of the collection."""

    sampler: str | None = None

    def __init__(self, schedule: Schedule, settings: DistillationConfig) -> None:
        self.schedule = schedule
        self.settings = settings

    def errors(self, student: Guided, teacher: Guided, batch: Mapping[str, Any], noise: SampleNoise) -> Tensor:
        """The squared error of the prediction."""
        latent = batch["latent"].float()
        share, guidance = _levels_and_scales(self.settings, noise, latent)
        timestep = (share * self.schedule.levels).long()
        noisy = self.schedule.add_noise(latent, noise.normal(*latent.shape[1:]).to(latent), timestep)
        wanted = teacher(noisy, timestep, guidance)
        return (student(noisy, timestep, guidance).float() - wanted).square().flatten(1).mean(1)

    def drawn(self, student: Guided, start: Tensor, guidance: Tensor) -> Tensor:
        """As many steps as the teacher takes."""
        return walk(lambda x, t: student(x, t, guidance), self.schedule, start, self.settings.grid).end


class ConsistencyLesson:
    """Jump from one place to where one jumps from the next place on the teacher's way, one step of DDIM further."""

    sampler: str | None = "lcm"

    def __init__(self, schedule: Schedule, settings: DistillationConfig) -> None:
        check_grid(schedule, settings)
        self.schedule = schedule
        self.settings = settings

    def errors(self, student: Guided, teacher: Guided, batch: Mapping[str, Any], noise: SampleNoise) -> Tensor:
        """The pseudo-Huber distance between the two jumps; the second one, the target, carries no gradient."""
        latent = batch["latent"].float()
        share, guidance = _levels_and_scales(self.settings, noise, latent)
        stride = self.schedule.levels // self.settings.grid
        timestep = ((share * self.settings.grid).long() + 1) * stride - 1
        further = (timestep - stride).clamp(min=0)
        noisy = self.schedule.add_noise(latent, noise.normal(*latent.shape[1:]).to(latent), timestep)
        with torch.no_grad():
            moved = solver_step(lambda x, t: teacher(x, t, guidance), self.schedule, noisy, timestep, further)
            target = jump(lambda x, t: student(x, t, guidance), self.schedule, moved, further)
        found = jump(lambda x, t: student(x, t, guidance), self.schedule, noisy, timestep)
        return pseudo_huber(found - target, self.settings.huber)

    def drawn(self, student: Guided, start: Tensor, guidance: Tensor) -> Tensor:
        """One jump from noise alone, which the teacher's picture from the same noise is the truth of."""
        return _jump_from_noise(student, self.schedule, start, guidance)


class TrajectoryLesson:
    """Jump to the end of a way that the teacher has walked, from a place on it; the teacher is not asked again."""

    sampler: str | None = "lcm"

    def __init__(self, schedule: Schedule, settings: DistillationConfig) -> None:
        check_grid(schedule, settings)
        self.schedule = schedule
        self.settings = settings

    def errors(self, student: Guided, teacher: Guided, batch: Mapping[str, Any], noise: SampleNoise) -> Tensor:
        """The pseudo-Huber distance of the jump from the end."""
        place, guidance = batch["latent"].float(), batch["guidance"]
        found = jump(lambda x, t: student(x, t, guidance), self.schedule, place, batch["timestep"])
        return pseudo_huber(found - batch["end"].float(), self.settings.huber)

    def drawn(self, student: Guided, start: Tensor, guidance: Tensor) -> Tensor:
        """One jump from noise alone."""
        return _jump_from_noise(student, self.schedule, start, guidance)


LESSONS: dict[str, type[GuidanceLesson] | type[ConsistencyLesson] | type[TrajectoryLesson]] = {
    "guidance": GuidanceLesson,
    "consistency": ConsistencyLesson,
    "trajectories": TrajectoryLesson,
}


def check_grid(schedule: Schedule, settings: DistillationConfig) -> None:
    """Raise BadInput unless the teacher's grid divides the levels of its schedule."""
    if schedule.levels % settings.grid:
        raise BadInput(f"distill.grid is {settings.grid}; it must divide {schedule.levels}, the levels of the model.")


def _levels_and_scales(settings: DistillationConfig, noise: SampleNoise, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Places from 0 to below 1 on the way, and guidance scales: (b,) each, on the device of `latent`."""
    share, scale = noise.uniform().to(latent), noise.uniform().to(latent)
    return share, torch.lerp(
        torch.full_like(scale, settings.lowest_guidance), torch.full_like(scale, settings.highest_guidance), scale
    )


def _jump_from_noise(student: Guided, schedule: Schedule, start: Tensor, guidance: Tensor) -> Tensor:
    timestep = torch.full((len(start),), schedule.levels - 1, device=start.device)
    return jump(lambda x, t: student(x, t, guidance), schedule, start, timestep)
