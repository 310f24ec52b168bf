"""The teacher, a frozen model with guidance, and its student: the same UNet, which is told the guidance scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.placement import use_fast_layout
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.diffusion.texts import TextCache
from safelight.unet import UNet
from safelight.weights import Parts


class Teacher:
    """A text-to-image model that stays as it is; raises BadInput for any other kind of model."""

    def __init__(self, parts: Parts, device: str = "cpu") -> None:
        if parts.task != "text":
            raise BadInput(f"The model to distil is one of the kind {parts.task!r}; it must be of the kind 'text'.")
        for network in (parts.unet, parts.autoencoder, parts.text_encoder):
            assert network is not None
            network.to(device).eval().requires_grad_(False)
        use_fast_layout(parts.unet)
        self.parts = parts
        self._texts = TextCache(*parts.reader)

    def read(self, captions: Sequence[str]) -> Tensor:
        """Captions as the UNet reads them, (b, n, d): always in single precision, for they are kept by whoever asks."""
        with torch.autocast(next(self.parts.unet.parameters()).device.type, enabled=False):
            return self._texts(captions)

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


def student_of(parts: Parts, guidance_width: int, sampler: str | None = None) -> Parts:
    """The same model with a UNet of its own that is told a guidance scale, and so far makes nothing of it.

    sampler: the only one that it will draw with.

    Its weights are the teacher's; those that read the scale are zero (Meng et al. 2023, section 3.1), unless the
    teacher has such weights already.
    """
    teacher = parts.unet
    unet = UNet(replace(teacher.config, guidance_width=teacher.config.guidance_width or guidance_width))
    weights = unet.state_dict()
    assert unet.guidance_projection is not None
    torch.nn.init.zeros_(unet.guidance_projection.weight)
    unet.load_state_dict({**weights, **teacher.state_dict()})
    return replace(parts, unet=unet.to(next(teacher.parameters()).device), sampler=sampler)
