"""UNets from and to their folders in the diffusers layout."""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.unet import UNet
from safelight.weights.network_folder import DIFFUSERS, load_network, read_config, save_network
from safelight.weights.unconditional_unet_config import (
    read_unconditional_unet_config,
    write_unconditional_unet_config,
)
from safelight.weights.unet_config import read_unet_config, write_unet_config
from safelight.weights.unet_keys import unet_keys

READERS = {"UNet2DConditionModel": read_unet_config, "UNet2DModel": read_unconditional_unet_config}


def load_unet(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> UNet:
    """A UNet, with text (UNet2DConditionModel) or without (UNet2DModel).

    dtype: None keeps the file's. variant: "fp16" reads the file of that name. Raises BadCheckpoint.
    """
    fields = read_config(folder)
    config = fields.choice("_class_name", "UNet2DConditionModel", READERS)(fields)
    return load_network("unet", lambda: UNet(config), unet_keys(config), folder, DIFFUSERS, dtype, variant)


def save_unet(folder: Path | str, unet: UNet) -> None:
    """Write a UNet; raises BadInput for one that the diffusers layout cannot say."""
    config = unet.config
    values = write_unet_config(config) if config.reads_context else write_unconditional_unet_config(config)
    save_network(folder, values, DIFFUSERS, unet, unet_keys(config))
