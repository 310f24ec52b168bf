"""ControlNets from and to folders in the layout of diffusers' ControlNetModel.

Its config.json is a UNet2DConditionModel's without the way up, with the hint encoder's widths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from safelight.adapters.control_config import ControlConfig
from safelight.adapters.control_keys import diffusers_control_keys
from safelight.adapters.controlnet import ControlNet
from safelight.weights.fields import Fields
from safelight.weights.network_folder import DIFFUSERS, load_network, read_config, save_network
from safelight.weights.unet_config import CLASS as UNET_CLASS
from safelight.weights.unet_config import read_unet_config, write_unet_config

CLASS = "ControlNetModel"
WAY_UP = {"DownBlock2D": "UpBlock2D", "CrossAttnDownBlock2D": "CrossAttnUpBlock2D", "AttnDownBlock2D": "AttnUpBlock2D"}
DOWN = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
# What a UNet's config.json has and a ControlNet's has not.
OF_UNETS = ("center_input_sample", "out_channels", "sample_size", "time_cond_proj_dim", "up_block_types")
ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": (CLASS,),
    "controlnet_conditioning_channel_order": ("rgb",),
    "global_pool_conditions": (False,),
    "addition_time_embed_dim": (None,),
}


def load_controlnet(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> ControlNet:
    """A ControlNet from its folder.

    dtype: None keeps the file's. variant: "fp16" reads the file of that name. Raises BadCheckpoint.
    """
    config = read_control_config(read_config(folder))
    return load_network(
        "ControlNet", lambda: ControlNet(config), diffusers_control_keys(config), folder, DIFFUSERS, dtype, variant
    )


def save_controlnet(folder: Path | str, network: ControlNet) -> None:
    """Write a ControlNet's folder; raises BadInput."""
    save_network(
        folder, write_control_config(network.config), DIFFUSERS, network, diffusers_control_keys(network.config)
    )


def read_control_config(fields: Fields) -> ControlConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    down = fields.choices("down_block_types", DOWN, {name: name for name in WAY_UP})
    values = {name: value for name, value in fields.values.items() if name not in (*ONLY, *OF_UNETS)}
    values |= {"_class_name": UNET_CLASS, "up_block_types": [WAY_UP[name] for name in reversed(down)]}
    return fields.build(
        ControlConfig,
        unet=read_unet_config(Fields(fields.source, values)),
        hint_channels=fields.integer("conditioning_channels", 3),
        hint_widths=fields.integers("conditioning_embedding_out_channels", (16, 32, 96, 256)),
    )


def write_control_config(config: ControlConfig) -> dict[str, Any]:
    """The config.json that diffusers reads; raises BadInput for a ControlNet that this layout cannot say."""
    unet = {name: value for name, value in write_unet_config(config.unet).items() if name not in OF_UNETS}
    return unet | {
        "_class_name": CLASS,
        "conditioning_channels": config.hint_channels,
        "conditioning_embedding_out_channels": list(config.hint_widths),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
    }
