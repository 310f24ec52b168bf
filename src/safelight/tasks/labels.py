"""Models that read no text: from nothing, a class, labelled boxes, a map (Rombach et al. 2022, sections 4.1 to 4.3)."""

from __future__ import annotations

import numpy
import torch
from torch.nn import functional

from safelight.conditioning import box_tokens
from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import Network
from safelight.diffusion.guidance import conditioned, guided
from safelight.errors import BadInput
from safelight.networks import Networks
from safelight.run import Run
from safelight.tasks.task import Drawing
from safelight.text import BertEncoder


def from_nothing(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """The UNet as it is."""
    return conditioned(networks.predict, Conditioning())


def from_class(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """A class by its vector in the context, or by the UNet's own table.

    The table's last entry stands for no class, which guidance needs; a UNet's own table has none and is not guided.
    """
    label = run.request.class_label
    table = networks.class_embedder
    classes = networks.unet.config.classes if table is None else table.config.classes - 1
    if label is None or not 0 <= label < classes:
        raise BadInput(f"class_label is {label}; this model knows the classes 0 to {classes - 1}.")
    labels = torch.tensor([label, classes], device=networks.placement.device)
    if table is None:
        return conditioned(networks.predict, Conditioning(label=labels[:1]))
    along, without = table(labels).split(1)
    return guided(networks.predict, along, without, *run.guidance)


def from_boxes(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """Labelled boxes, written as tokens, read by the text transformer."""
    encoder = networks.text_encoder
    if run.request.boxes is None or not isinstance(encoder, BertEncoder):
        raise BadInput("This model draws a layout: it needs boxes, and a transformer that reads them among its parts.")
    tokens = box_tokens(run.request.boxes, encoder.config).to(networks.placement.device)
    return conditioned(networks.predict, encoder(tokens).float())


def from_map(networks: Networks, run: Run, drawing: Drawing) -> Network:
    """A map of labels, one channel for each, brought down to the latent's size and joined to it."""
    rescaler = networks.rescaler
    if rescaler is None:
        raise BadInput("This model has no rescaler for a semantic map.")
    numbers = torch.from_numpy(numpy.asarray(run.maps["semantic_map"]).astype("int64"))
    labels = rescaler.config.in_channels
    for label in (int(numbers.min()), int(numbers.max())):
        if not 0 <= label < labels:
            raise BadInput(f"semantic_map holds the label {label}; this model knows 0 to {labels - 1}.")
    one_hot = functional.one_hot(numbers, labels).permute(2, 0, 1)[None]
    weight = next(rescaler.parameters())
    return conditioned(networks.predict, Conditioning(beside=rescaler(one_hot.to(weight)).float()))
