"""Whether a UNet predicts noise (epsilon) or velocity (v): told from the file's own marks, the catalogue, or a probe.

No tensor says it. In order: what the file's metadata says (`modelspec.prediction_type`) or a tensor called `v_pred`;
then the published models of these shapes, where all of them predict the same; and where they do not (SD 2 base and SD 2
at 768 pixels have the same shapes), the network is run once on pure noise at the last level, where next to nothing of
the picture is left. The noise is then nearly all of the input: a network that predicts epsilon gives it back, one that
predicts v = sqrt(abar) noise - sqrt(1 - abar) latent gives minus its guess of the picture, and of the noise only
sqrt(abar), 0.07 (Salimans & Ho 2022, appendix D).

The probe knows trained networks only: of random weights it says nothing sound. It cannot see x0-prediction. A model of
SD 1's shape that was trained on to predict v and does not say so is taken for epsilon.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from safelight.configs import Prediction
from safelight.text import TextEncoder
from safelight.unet import UNet
from safelight.weights.recognition.contents import Contents

METADATA = "modelspec.prediction_type"
SPELLINGS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v",
    "v_prediction": "v",
    "v-prediction": "v",
    "sample": "x0",
}
MARK = "v_pred"
LARGEST = 32  # latent positions each way in the probe
UNSURE = (0.3, 0.7)  # shares of the noise that tell nothing
LAST_LEVEL = 999


def told_prediction(
    contents: Contents, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Prediction | None:
    """What the file's marks and the published models of its shapes say, or None where they leave it open."""
    said = SPELLINGS.get(metadata.get(METADATA, "").lower())
    if said is not None:
        return said
    if MARK in tensors:
        return "v"
    published = {row.schedule.prediction for row in contents.models}
    if published:
        return published.pop() if len(published) == 1 else None
    found = contents.part("unet")
    linear = found is not None and found.config is not None and found.config.projection == "linear"
    return None if linear else "epsilon"


@torch.no_grad()
def probed_prediction(unet: UNet, text_encoder: TextEncoder | None) -> Prediction | None:
    """What a trained network's answer to pure noise tells, or None where it tells nothing."""
    share = share_of_noise(unet, text_encoder)
    if not UNSURE[0] < share < UNSURE[1] and share == share:  # not NaN
        return "epsilon" if share > UNSURE[1] else "v"
    return None


@torch.no_grad()
def share_of_noise(unet: UNet, text_encoder: TextEncoder | None) -> float:
    """How much of its input, pure noise at the last level, a UNet's answer holds: about 1 for epsilon, 0 for v."""
    config = unet.config
    weight = unet.conv_in.weight
    side = min(LARGEST, config.sample_size)
    noise = torch.randn(1, config.in_channels, side, side, generator=torch.Generator().manual_seed(0)).to(weight)
    context = empty_context(config.context_width, text_encoder).to(weight) if config.reads_context else None
    label = None
    if config.classes:
        label = torch.zeros(1, dtype=torch.int64)
    elif config.class_vector:
        label = torch.zeros(1, config.class_vector).to(weight)
    answer = unet(noise, LAST_LEVEL, context, label).float()
    shown = noise[:, : config.out_channels].float()
    return float((answer * shown).sum() / shown.square().sum())


def empty_context(width: int, text_encoder: TextEncoder | None) -> Tensor:
    """What the empty prompt gives, (1, n, width); nothing at all where there is no text encoder to ask."""
    if text_encoder is None:
        return torch.zeros(1, 1, width)
    vocabulary, length = text_encoder.config.vocabulary, text_encoder.config.length
    # Start and end are the last two tokens of every CLIP vocabulary, and what pads comes after the end.
    ids = torch.tensor([[vocabulary - 2, vocabulary - 1] + [0] * (length - 2)])
    return text_encoder(ids)
