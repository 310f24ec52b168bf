"""A ControlNet learns beside a UNet whose weights stay as they are (Zhang et al. 2023, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from safelight.adapters import ControlConfig, ControlNet, save_controlnet
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.training.diffusion.texts import TextCache
from safelight.training.finetuning.hints import Steered
from safelight.training.finetuning.start import dtype_of
from safelight.unet.unet import Residuals
from safelight.weights import Parts

FOLDER = "controlnet"
HINT_WIDTHS = (16, 32, 96, 256, 256)  # of the hint encoder, for latents up to 16 times smaller than pictures


class LearntControl:
    """A copy of the UNet's way down learns what to add to its skip connections; it starts by adding nothing."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.network: ControlNet = controlnet_for(parts)
        self.frozen: Sequence[nn.Module] = [parts.unet]
        self.read = TextCache(*parts.reader)

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """What the UNet predicts with the residuals of the ControlNet."""
        assert isinstance(shown, Steered)
        found = self.network(latent, timestep, shown.context, shown.hint)
        dtype = dtype_of(self.parts)
        residuals = Residuals([skip.to(dtype) for skip in found.skips], found.middle.to(dtype))
        x = latent.to(dtype).contiguous(memory_format=torch.channels_last)
        context = None if shown.context is None else shown.context.to(dtype)
        prediction: Tensor = self.parts.unet(x, timestep, context, None, residuals)
        return prediction

    def export(self, folder: Path) -> None:
        """Write the ControlNet into `folder/controlnet`, in the layout of diffusers' ControlNetModel."""
        save_controlnet(folder / FOLDER, self.network)


def controlnet_for(parts: Parts) -> ControlNet:
    """A new ControlNet with the weights of the UNet's way down, in float32; raises BadInput where none can be made."""
    factor = parts.autoencoder.config.factor
    levels = int(math.log2(factor))
    if 2**levels != factor or levels >= len(HINT_WIDTHS):
        raise BadInput(f"The autoencoder makes pictures {factor} times smaller; a ControlNet needs 1, 2, 4, 8 or 16.")
    unet = parts.unet
    network = ControlNet(ControlConfig(unet=unet.config, hint_widths=HINT_WIDTHS[: levels + 1]))
    network.to(next(unet.parameters()).device)
    copied = unet.state_dict()
    own = network.state_dict()
    network.load_state_dict({name: copied.get(name, tensor) for name, tensor in own.items()})
    return network.requires_grad_(True)
