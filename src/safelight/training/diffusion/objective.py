"""What the noise predictor is asked: a distribution of noise levels, and a weighting of the errors over it.

Ho et al. 2020, Algorithm 1, with the target of Salimans & Ho 2022 (v) and the weighting of Hang et al. 2023 (min-SNR).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.engine.noise import SampleNoise

Predict = Callable[[Tensor, Tensor], Tensor]  # noisy latent (b, c, h, w), timestep (b,) -> prediction (b, c, h, w)


@dataclass(frozen=True)
class Question:
    """One step's noise: timestep (b,) int64, noise (b, c, h, w)."""

    timestep: Tensor
    noise: Tensor


class Objective:
    """The loss of a noise predictor under one schedule."""

    def __init__(self, schedule: ScheduleConfig, settings: ObjectiveConfig) -> None:
        self.schedule = Schedule(schedule)
        self.settings = settings

    def question(self, noise: SampleNoise, shape: torch.Size) -> Question:
        """Levels and noise for latents of `shape` (b, c, h, w), each sample's drawn from its own source."""
        levels = self.schedule.levels
        share = noise.uniform() ** (1 / self.settings.level_skew)
        timestep = (levels * share).long().clamp(max=levels - 1)
        return Question(timestep, noise.normal(*shape[1:]))

    def errors(self, predict: Predict, latent: Tensor, question: Question) -> Tensor:
        """The weighted squared error (b,) of the prediction for each latent (b, c, h, w)."""
        timestep, noise = question.timestep.to(latent.device), question.noise.to(latent.device)
        noisy = self.schedule.add_noise(latent, noise, timestep).contiguous(memory_format=torch.channels_last)
        target = self.schedule.target(latent, noise, timestep)
        return self.weight(timestep) * (predict(noisy, timestep).float() - target).square().flatten(1).mean(1)

    def weight(self, timestep: Tensor) -> Tensor:
        """Min-SNR weights (b,): the error of the clean estimate counts min(SNR, limit) times (Hang et al. 2023)."""
        if not self.settings.snr_limit:
            return torch.ones_like(timestep, dtype=torch.float32)
        alpha_bar = self.schedule.alpha_bar.to(timestep.device)[timestep].clamp(1e-6, 1 - 1e-6)
        snr = alpha_bar / (1 - alpha_bar)
        per_unit = {"epsilon": snr, "v": snr + 1, "x0": torch.ones_like(snr)}[self.schedule.config.prediction]
        return snr.clamp(max=self.settings.snr_limit) / per_unit
