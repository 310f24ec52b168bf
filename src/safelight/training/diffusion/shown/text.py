"""Text beside the noisy latent (Rombach et al. 2022, 3.3), left out at times (Ho & Salimans 2022, 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from safelight.data.backdrop import with_background
from safelight.data.captions import CaptionSettings, choose, worded
from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.views import View


class ShownText:
    """A caption, read by the text encoder; sometimes none, which is what guidance compares with."""

    def __init__(self, settings: DiffusionDataConfig) -> None:
        self.wordings = settings.wordings
        self.wording_share = settings.wording_share if settings.wordings else 0.0
        self.settings = CaptionSettings(
            first_share=settings.first_caption_share,
            dropout=settings.caption_dropout,
            shuffle_share=settings.shuffle_share,
            keep_tags=settings.keep_tags,
            tag_dropout=settings.tag_dropout,
        )

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """A caption, in words of its own or not, or an empty one."""
        if self.wording_share and random.random() < self.wording_share:
            said = worded(random.choice(self.wordings), view.record.captions[0])
            return {"caption": "" if random.random() < self.settings.dropout else with_background(said, view.colour)}
        return {"caption": choose(view.captions, self.settings, random)}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The first caption."""
        return {"caption": view.captions[0]}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The hidden states of the captions."""
        device = next(learner.network.parameters()).device
        return Conditioning(context=learner.read(batch["caption"]).to(device))

    def request(self, view: View) -> dict[str, Any]:
        """The first caption as the prompt."""
        return {"prompt": view.captions[0]}
