"""The noise law of training: how much of a picture is left at each level.

Ho et al. 2020, section 2, with the laws of Rombach et al. 2022 (scaled_linear) and Nichol & Dhariwal 2021 (cosine),
and the rescaling to zero terminal signal-to-noise ratio of Lin et al. 2023, Algorithm 1.

A level has two coordinates: its timestep (0 is the cleanest, `levels - 1` the noisiest) and its sigma, the noise in
the sigma picture `x = latent_0 + sigma * noise`, where `sigma = sqrt((1 - alpha_bar) / alpha_bar)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.errors import BadInput

SMALLEST_ALPHA_BAR = 2.0**-24  # stands for 0 where a finite sigma is needed: sigma is then 4096
SMALLEST_SIGMA = 1e-10  # stands for 0 where a logarithm is needed


def _scaled_linear(config: ScheduleConfig) -> Tensor:
    return torch.linspace(config.beta_start**0.5, config.beta_end**0.5, config.levels, dtype=torch.float32) ** 2


def _linear(config: ScheduleConfig) -> Tensor:
    return torch.linspace(config.beta_start, config.beta_end, config.levels, dtype=torch.float32)


def _cosine(config: ScheduleConfig) -> Tensor:
    """Nichol & Dhariwal 2021, equation 17; beta_start and beta_end play no part."""
    time = torch.arange(config.levels + 1, dtype=torch.float64) / config.levels
    alpha_bar = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999).float()


BETAS: dict[str, Callable[[ScheduleConfig], Tensor]] = {
    "scaled_linear": _scaled_linear,
    "linear": _linear,
    "cosine": _cosine,
}


def with_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Shift and stretch sqrt(alpha_bar) so that it ends at 0 and starts as before (Lin et al. 2023, Algorithm 1)."""
    root = alpha_bar.sqrt()
    first, last = root[0], root[-1]
    stretched: Tensor = (root - last) * (first / (first - last))
    return stretched**2


def _beside(level: Tensor, picture: Tensor) -> Tensor:
    """A value per picture, (b,) or scalar, shaped to multiply (b, c, h, w)."""
    return level.to(picture).reshape(-1, *[1] * (picture.ndim - 1))


class Schedule:
    """The levels of one noise law.

    alpha_bar: (levels,) float32, the share of the picture in the variance; exactly 0 at the end of a law with zero
    terminal signal-to-noise ratio. sigmas: (levels,) float32, rising; there alpha_bar is taken as 2^-24 (sigma 4096).
    """

    def __init__(self, config: ScheduleConfig) -> None:
        if config.levels < 2:
            raise BadInput(f"ScheduleConfig.levels is {config.levels}; a schedule needs at least 2.")
        self.config = config
        self.levels = config.levels
        alpha_bar = torch.cumprod(1 - BETAS[config.law](config), dim=0)
        self.alpha_bar = with_zero_terminal_snr(alpha_bar) if config.zero_terminal_snr else alpha_bar
        above_zero = self.alpha_bar.clamp(min=SMALLEST_ALPHA_BAR)
        self.sigmas = ((1 - above_zero) / above_zero).sqrt()

    def sigma(self, timestep: Tensor) -> Tensor:
        """Timesteps of any shape, perhaps fractional -> sigmas (float64), interpolated linearly between two levels."""
        table = self.sigmas.double().to(timestep.device)
        position = timestep.double().clamp(0, self.levels - 1)
        below = position.floor().long().clamp(max=self.levels - 2)
        return torch.lerp(table[below], table[below + 1], position - below)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Sigmas of any shape -> fractional timesteps (float64), interpolated linearly in the logarithm of sigma.

        Sigmas beyond the table get its first or last timestep.
        """
        table = self.sigmas.log().double().to(sigma.device)
        position = sigma.double().clamp(min=SMALLEST_SIGMA).log()
        below = (torch.searchsorted(table, position, right=True) - 1).clamp(0, self.levels - 2)
        share = (position - table[below]) / (table[below + 1] - table[below])
        return below + share.clamp(0, 1)

    def nearest(self, sigma: Tensor) -> Tensor:
        """Sigmas of any shape -> the nearest whole timesteps (float64)."""
        return self.timestep(sigma).round()

    def halfway(self, sigma: Tensor, next_sigma: Tensor) -> Tensor:
        """Two scalar sigmas -> the sigma of the whole level halfway between them in timesteps, in their dtype."""
        start, end = int(self.nearest(sigma)), int(self.nearest(next_sigma))
        return self.sigmas[start - (start - end) // 2].to(sigma)

    def add_noise(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Forward diffusion, Ho et al. 2020, equation 4.

        latent, noise: (b, c, h, w). timestep: (b,) or scalar, whole levels. Returns (b, c, h, w).
        """
        signal, spread = self._mixture(latent, timestep)
        return signal * latent + spread * noise

    def velocity(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """What v-prediction learns: v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) latent (Salimans & Ho 2022)."""
        signal, spread = self._mixture(latent, timestep)
        return signal * noise - spread * latent

    def target(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """What a network of this schedule's prediction type learns to give for `add_noise(latent, noise, timestep)`."""
        return TARGETS[self.config.prediction](self, latent, noise, timestep)

    def _mixture(self, latent: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        if timestep.is_floating_point() or int(timestep.min()) < 0 or int(timestep.max()) >= self.levels:
            raise BadInput(f"timestep is {timestep.tolist()}; it must hold whole numbers from 0 to {self.levels - 1}.")
        alpha_bar = self.alpha_bar.to(timestep.device)[timestep]
        return _beside(alpha_bar.sqrt(), latent), _beside((1 - alpha_bar).sqrt(), latent)


TARGETS: dict[str, Callable[[Schedule, Tensor, Tensor, Tensor], Tensor]] = {
    "epsilon": lambda schedule, latent, noise, timestep: noise,
    "v": Schedule.velocity,
    "x0": lambda schedule, latent, noise, timestep: latent,
}
