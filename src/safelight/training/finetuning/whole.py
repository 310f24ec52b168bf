"""The UNet and the text encoder learn together (Ruiz et al. 2022, section 3.2, train both)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.finetuning.reading import read_with_gradients
from safelight.weights import Parts, save_folder


class UNetAndText:
    """All weights of the UNet and of the text encoder learn; the autoencoder is frozen."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        _, encoder = parts.reader
        self.network: nn.Module = nn.ModuleDict({"unet": parts.unet, "text_encoder": encoder})
        self.network.requires_grad_(True)

    def read(self, captions: Sequence[str]) -> Tensor:
        """The hidden states (b, n, d), with gradients."""
        return read_with_gradients(self.parts, captions)

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """The UNet's prediction."""
        return unet_prediction(self.parts, latent, timestep, shown)

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`, in the diffusers layout."""
        save_folder(folder / "model", self.parts)
