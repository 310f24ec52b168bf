"""The teacher: a frozen model with guidance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.placement import channels_last
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.diffusion.texts import TextCache
from safelight.weights import Parts


class Teacher:
    """A text-to-image model that stays as it is; raises BadInput for any other kind of model."""

    def __init__(self, parts: Parts, device: str = "cpu") -> None:
        if parts.task != "text":
            raise BadInput(f"The model to distil is one of the kind {parts.task!r}; it must be of the kind 'text'.")
        for network in (parts.unet, parts.autoencoder, parts.text_encoder):
            assert network is not None
            network.to(device).eval().requires_grad_(False)
        channels_last(parts.unet)
        self.parts = parts
        self._texts = TextCache(*parts.reader)

    def read(self, captions: Sequence[str]) -> Tensor:
        """Captions as the UNet reads them, (b, n, d)."""
        return self._texts(captions)

    @torch.no_grad()
    def alone(self, latent: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """What it predicts without guidance: (b, c, h, w), (b,), (b, n, d) -> (b, c, h, w)."""
        if self.parts.unet.config.guidance_width:
            return self.predict(latent, timestep, context, torch.ones_like(timestep))
        return unet_prediction(self.parts, latent, timestep, Conditioning(context=context)).float()

    @torch.no_grad()
    def predict(self, latent: Tensor, timestep: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """What it predicts with its guidance at those scales: (b, c, h, w), (b,), (b, n, d), (b,) -> (b, c, h, w).

        A teacher that is told its scale, for it was distilled itself, needs one pass, any other two.
        """
        if self.parts.unet.config.guidance_width:
            shown = Conditioning(context=context, guidance=guidance)
            return unet_prediction(self.parts, latent, timestep, shown).float()
        empty = self.read([""]).expand_as(context)
        both = Conditioning(context=torch.cat([empty, context]))
        found = unet_prediction(self.parts, torch.cat([latent] * 2), torch.cat([timestep] * 2), both).float()
        without, along = found.chunk(2)
        return without + guidance.reshape(-1, 1, 1, 1) * (along - without)
