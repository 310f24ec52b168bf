"""What the UNet is shown beside the noisy latent while it is trained: one class for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Protocol

from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.latents import View
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.settings import DiffusionDataConfig


class Shown(Protocol):
    """How a picture's condition enters a sample, and how a batch of them is shown to the UNet."""

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """What a sample holds beside its latent: tensors, numbers or text by name, with random choices."""
        ...

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same without any choice, for held-out figures."""
        ...

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """What the UNet is shown for a collated batch of such entries."""
        ...


class ShownText:
    """A caption, read by the text encoder; sometimes none, which is what guidance compares with."""

    def __init__(self, settings: DiffusionDataConfig) -> None:
        self.settings = settings

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The first caption, or any, or an empty one."""
        first = random.random() < self.settings.first_caption_share
        caption = view.captions[0] if first else random.choice(view.captions)
        return {"caption": "" if random.random() < self.settings.caption_dropout else caption}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The first caption."""
        return {"caption": view.captions[0]}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The hidden states of the captions."""
        device = next(learner.network.parameters()).device
        return Conditioning(context=learner.read(batch["caption"]).to(device))
