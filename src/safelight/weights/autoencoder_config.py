"""AutoencoderConfig to and from the config.json of diffusers' AutoencoderKL."""

from __future__ import annotations

from typing import Any

from safelight.configs import AutoencoderConfig
from safelight.weights.fields import MOST, Fields

DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
IMAGE_SIZE = 512  # pixels: where diffusers begins to tile; it changes no result below that

ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": ("AutoencoderKL",),
    "act_fn": ("silu", "swish"),
    "shift_factor": (None, 0),
    "latents_mean": (None,),
    "latents_std": (None,),
    "use_quant_conv": (True,),
    "use_post_quant_conv": (True,),
    "mid_block_add_attention": (True,),
}


def read_autoencoder_config(fields: Fields) -> AutoencoderConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    channels = fields.integers("block_out_channels", (64,))
    for name, kind in (("down_block_types", DOWN), ("up_block_types", UP)):
        if len(fields.choices(name, (kind,), {kind: kind})) != len(channels):
            raise fields.wrong(name, f"it needs one entry for each of the {len(channels)} levels in block_out_channels")
    image_channels = fields.integer("in_channels", 3)
    if fields.integer("out_channels", 3) != image_channels:
        raise fields.wrong("out_channels", f"it must equal in_channels, {image_channels}")
    return fields.build(
        AutoencoderConfig,
        image_channels=image_channels,
        latent_channels=fields.integer("latent_channels", 4),
        channels=channels,
        blocks_per_level=fields.integer("layers_per_block", 1, most=MOST),
        groups=fields.integer("norm_num_groups", 32),
        scale=fields.number("scaling_factor", 0.18215),
    )


def write_autoencoder_config(config: AutoencoderConfig) -> dict[str, Any]:
    """The config.json that diffusers reads."""
    levels = len(config.channels)
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(config.channels),
        "down_block_types": [DOWN] * levels,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.blocks_per_level,
        "norm_num_groups": config.groups,
        "out_channels": config.image_channels,
        "sample_size": IMAGE_SIZE,
        "scaling_factor": config.scale,
        "up_block_types": [UP] * levels,
    }
