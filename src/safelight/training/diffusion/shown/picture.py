"""Another picture beside the noisy latent: the one before a change, or a map of depths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import torch

from safelight.conditioning.depth_map import beside_depth
from safelight.data.captions import choose
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.images import grey_to_tensor, to_tensor
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.shown.text import ShownText
from safelight.training.diffusion.views import View


class ShownInstruction:
    """The companion picture `before`, and the instruction that made this one of it (Brooks et al. 2023, section 3.2).

    Of the samples a share, the caption dropout, is without the instruction, as many without the picture, and as many
    without either: two guidances steer what was learnt so. Raises BadInput for a share of which there are no three.
    """

    def __init__(self, text: ShownText) -> None:
        self.text = text
        self.share = text.settings.dropout
        if self.share > 1 / 3:
            raise BadInput(
                f"data.caption_dropout is {self.share}; where an instruction is shown it must be from 0 to 0.333, for "
                "so many samples are without the text, as many without the picture, and as many without either."
            )
        self.spoken = replace(text.settings, dropout=0.0)

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The caption, the picture (3, H, W), and whether that is shown."""
        caption, place = choose(view.captions, self.spoken, random), random.random()
        silent, blind = place < 2 * self.share, self.share <= place < 3 * self.share
        shown = {"caption": "" if silent else caption, "sighted": float(not blind)}
        return {**shown, "before": to_tensor(view.companion("before"))}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """All of it."""
        return {**self.text.fixed_entries(view), "sighted": 1.0, "before": to_tensor(view.companion("before"))}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The text's hidden states, and the picture's latent, neither sampled nor scaled; zeros are no picture."""
        device = next(learner.network.parameters()).device
        with torch.no_grad():
            latent = learner.parts.autoencoder.encode(batch["before"].to(device)).mean.float()
        sighted = batch["sighted"].to(latent)[:, None, None, None]
        return Conditioning(context=self.text.conditioning(batch, learner).context, beside=latent * sighted)

    def request(self, view: View) -> dict[str, Any]:
        """The picture, and the first caption as the prompt."""
        return {**self.text.request(view), "image": view.companion("before")}


class ShownDepth:
    """The companion picture `depth`, lighter where things are nearer (Stable Diffusion 2's depth model)."""

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The depths (1, H, W)."""
        return self.fixed_entries(view)

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same."""
        return {"depth": grey_to_tensor(view.numbers("depth"))}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The map, stretched and joined to the latent."""
        height, width = batch["latent"].shape[-2:]
        device = next(learner.network.parameters()).device
        return Conditioning(beside=beside_depth(batch["depth"], height, width).to(device))

    def request(self, view: View) -> dict[str, Any]:
        """The map."""
        return {"depth_map": view.numbers("depth")}
