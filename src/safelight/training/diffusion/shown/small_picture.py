"""A small version of the picture beside the noisy latent: what a model that enlarges sees."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Generator, Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.schedule import Schedule
from safelight.images import to_tensor
from safelight.training.diffusion.degradation import degraded
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.views import View

NOISIEST, USUAL = 350, 20  # levels of the small picture's noise: of training, and where none is asked for


class ShownNoisySmall:
    """The small picture with noise of a random level, which is told as a label (Stable Diffusion's x4 upscaler).

    Noise that hides what a small picture lacks: Ho et al. 2022 (cascaded diffusion), section 4.2.
    law: of that noise. factor: how many times smaller the picture is. labels: levels that the UNet knows.
    """

    def __init__(self, law: ScheduleConfig, factor: int, labels: int) -> None:
        self.schedule = Schedule(law)
        self.factor = factor
        self.levels = min(NOISIEST + 1, labels, self.schedule.levels)

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The small picture with noise (3, h, w), and its level."""
        return self._entries(view, random.randrange(self.levels), random)

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same with the level at which one draws if nothing is asked for."""
        return self._entries(view, min(USUAL, self.levels - 1), Random(view.record.key))

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The small picture, joined to the latent, and the level."""
        device = next(learner.network.parameters()).device
        return Conditioning(beside=batch["small"].to(device), label=batch["small_level"].to(device))

    def request(self, view: View) -> dict[str, Any]:
        """The small picture without noise, and the level that it is to get."""
        return {"image": shrunken(view, self.factor), "noise_level": min(USUAL, self.levels - 1)}

    def _entries(self, view: View, level: int, random: Random) -> dict[str, Any]:
        small = to_tensor(shrunken(view, self.factor))[None]
        source = Generator().manual_seed(random.getrandbits(63))
        noise = torch.randn(small.shape, generator=source)
        noisy: Tensor = self.schedule.add_noise(small, noise, torch.tensor([level]))
        return {"small": noisy[0], "small_level": level}


class ShownDegraded:
    """The small picture as bad cameras and bad files leave it (Rombach et al. 2022, section 4.4, "LDM-BSR")."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The small picture (3, h, w), with faults."""
        return {"small": to_tensor(degraded(view.picture(), self.factor, random))}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same with faults that follow from the record's name."""
        return self.entries(view, Random(view.record.key))

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The small picture, joined to the latent, which is of its size."""
        return Conditioning(beside=batch["small"].to(next(learner.network.parameters()).device))

    def request(self, view: View) -> dict[str, Any]:
        """The small picture with the faults of the fixed entries."""
        return {"image": degraded(view.picture(), self.factor, Random(view.record.key))}


def shrunken(view: View, factor: int) -> Image.Image:
    """The view's picture, that many times smaller each way."""
    width, height = (side // factor for side in view.size)
    return view.picture().resize((width, height), Image.Resampling.LANCZOS)
