"""What the noise predictor is asked: a distribution of noise levels, and a weighting of the errors over it.

Ho et al. 2020, Algorithm 1; `levels` and `weighting` hold the laws, `diffusion.schedule` the targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.training.diffusion.levels import LAWS
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.diffusion.weighting import weight
from safelight.training.engine.noise import SampleNoise

Predict = Callable[[Tensor, Tensor], Tensor]  # noisy latent (b, c, h, w), timestep (b,) -> prediction (b, c, h, w)


@dataclass(frozen=True)
class Question:
    """One step's noise: timestep (b,) int64, noise (b, c, h, w)."""

    timestep: Tensor
    noise: Tensor


class Objective:
    """The loss of a noise predictor under one schedule.

    Raises BadInput for epsilon on a law that ends in noise alone: there the noise is what the network sees, the picture
    is lost, and no guess of the one says anything of the other (Lin et al. 2023, section 3.2).
    """

    def __init__(self, schedule: ScheduleConfig, settings: ObjectiveConfig) -> None:
        if schedule.zero_terminal_snr and schedule.prediction == "epsilon":
            raise BadInput(
                'schedule.prediction is "epsilon" with schedule.zero_terminal_snr, whose last level is noise alone, '
                'from which no picture follows; allowed there: "v", "x0".'
            )
        self.schedule = Schedule(schedule)
        self.settings = settings

    def question(self, noise: SampleNoise, shape: tuple[int, ...]) -> Question:
        """Levels and noise for latents of `shape` (b, c, h, w), each sample's drawn from its own source."""
        timestep = LAWS[self.settings.levels](self.schedule, self.settings, noise.uniform())
        drawn = noise.normal(*shape[1:])
        if self.settings.noise_offset:  # Guttenberg 2023, "Diffusion with offset noise"
            drawn = drawn + self.settings.noise_offset * noise.normal(shape[1], 1, 1)
        return Question(timestep, drawn)

    def errors(self, predict: Predict, latent: Tensor, question: Question) -> Tensor:
        """The weighted squared error (b,) of the prediction for each latent (b, c, h, w)."""
        timestep, noise = question.timestep.to(latent.device), question.noise.to(latent.device)
        noisy = self.schedule.add_noise(latent, noise, timestep)
        target = self.schedule.target(latent, noise, timestep)
        return self.weight(timestep) * (predict(noisy, timestep).float() - target).square().flatten(1).mean(1)

    def weight(self, timestep: Tensor) -> Tensor:
        """What the errors at these timesteps count, (b,)."""
        alpha_bar = self.schedule.alpha_bar.to(timestep.device)[timestep]
        return weight(alpha_bar, self.schedule.config.prediction, self.settings)
