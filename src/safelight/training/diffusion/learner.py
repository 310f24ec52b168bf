"""What learns while a noise predictor is trained: a whole UNet, or something small that is attached to one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from safelight.diffusion.conditioning import Conditioning
from safelight.text import BertEncoder
from safelight.training.diffusion.texts import TextCache, read_with_gradients
from safelight.weights import Parts, save_folder


class Learner(Protocol):
    """What learns, and how the model predicts while it does. The rest of the model is frozen."""

    @property
    def parts(self) -> Parts:
        """The model, as its pictures are drawn: what learns is attached."""
        ...

    @property
    def network(self) -> nn.Module:
        """What learns; all its parameters do, and there are no others in it."""
        ...

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """What does not learn, although the gradients of what does pass through it."""
        ...

    def read(self, captions: Sequence[str]) -> Tensor:
        """Captions as the UNet reads them: (b, n, d), with gradients where the reading is learnt."""
        ...

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """(b, c, h, w), (b,) int64 -> what the UNet predicts, (b, c, h, w)."""
        ...

    def export(self, folder: Path) -> None:
        """Write what was learnt in the form in which other programs load it."""
        ...


class WholeUNet:
    """All weights of the UNet learn, and with them what shows it a class, a map or boxes; all else is frozen."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.network: nn.Module = learning_together(parts)
        self.frozen: Sequence[nn.Module] = ()
        self.read = TextCache(*parts.reader) if parts.tokenizer is not None else reads_nothing

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """The UNet's prediction."""
        return unet_prediction(self.parts, latent, timestep, shown)

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`, in the diffusers layout."""
        save_folder(folder / "model", self.parts)


class UNetAndText:
    """All weights of UNet and text encoder learn (Ruiz et al. 2022, section 3.2); the autoencoder is frozen."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        _, encoder = parts.reader
        self.network: nn.Module = nn.ModuleDict({"unet": parts.unet, "text_encoder": encoder})
        self.frozen: Sequence[nn.Module] = ()
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


def learning_together(parts: Parts) -> nn.Module:
    """The UNet, or where something without a training of its own shows it things, both by their names in `Parts`."""
    found: dict[str, nn.Module] = {}
    if parts.class_embedder is not None:
        found["class_embedder"] = parts.class_embedder
    if parts.rescaler is not None:
        found["rescaler"] = parts.rescaler
    if isinstance(parts.text_encoder, BertEncoder) and parts.tokenizer is None:
        parts.text_encoder.logits.requires_grad_(False)  # read by nobody, so that nothing can teach it
        found["text_encoder"] = parts.text_encoder
    return nn.ModuleDict({"unet": parts.unet, **found}) if found else parts.unet


def reads_nothing(captions: Sequence[str]) -> Tensor:
    """Of a model that reads no text: nobody should ask."""
    raise AssertionError(f"{captions} cannot be read: the model has no text encoder")


def unet_prediction(parts: Parts, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
    """What the UNet of `parts` predicts from all that it is shown."""
    x = latent if shown.beside is None else torch.cat([latent, shown.beside.to(latent)], dim=1)
    prediction: Tensor = parts.unet(
        x.contiguous(memory_format=torch.channels_last), timestep, shown.context, shown.label, None, shown.guidance
    )
    return prediction
