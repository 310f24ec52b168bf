"""UNetConfig to and from the config.json of diffusers' UNet2DModel: a UNet that reads no text.

`attention_head_dim` is here what it says: the width of one head, the same on all levels. Levels without attention say
by their names how they are resized, those with attention by `downsample_type` and `upsample_type`.
"""

from __future__ import annotations

from typing import Any

from safelight.configs import Attention, Resampling, UNetConfig
from safelight.errors import BadInput
from safelight.weights.fields import Fields
from safelight.weights.unet_blocks import (
    Level,
    Names,
    named,
    read_block_types,
    read_shared,
    write_block_types,
    write_shared,
)

CLASS = "UNet2DModel"
WITHOUT_ATTENTION: dict[Level, Names] = {
    ("none", "conv"): ("DownBlock2D", "UpBlock2D"),
    ("none", "residual"): ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
}
WITH_ATTENTION: Names = ("AttnDownBlock2D", "AttnUpBlock2D")
RESAMPLINGS: dict[str, Resampling] = {"conv": "conv", "resnet": "residual"}
MIDDLES: dict[bool, Attention] = {True: "self", False: "none"}

ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": (CLASS,),
    "mid_block_type": ("UNetMidBlock2D",),
    "class_embed_type": (None,),
}


def read_unconditional_unet_config(fields: Fields) -> UNetConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    shared = read_shared(fields, in_channels=3, channels=(224, 448, 672, 896))
    attending = fields.choice("downsample_type", "conv", RESAMPLINGS)
    if fields.choice("upsample_type", "conv", RESAMPLINGS) != attending:
        raise fields.wrong("upsample_type", "it must be the same as downsample_type")
    attention, resampling = read_block_types(
        fields,
        ("DownBlock2D",) + ("AttnDownBlock2D",) * 3,
        ("AttnUpBlock2D",) * 3 + ("UpBlock2D",),
        WITHOUT_ATTENTION | {("self", attending): WITH_ATTENTION},
    )
    middle: Attention = fields.choice("add_attention", True, MIDDLES)
    if len(attention) != len(shared["channels"]):
        raise fields.wrong("down_block_types", f"it needs {len(shared['channels'])} entries, as block_out_channels")
    _check_middle_norm(fields, shared, middle)
    return fields.build(
        UNetConfig,
        **shared,
        attention=attention,
        middle_attention=middle,
        resampling=resampling,
        heads=_read_heads(fields, shared["channels"], (*attention[:-1], _either(attention[-1], middle))),
    )


def write_unconditional_unet_config(config: UNetConfig) -> dict[str, Any]:
    """The config.json that diffusers reads; raises BadInput for a UNet that this layout cannot say."""
    for name in ("class_vector", "guidance_width"):
        if getattr(config, name):
            raise BadInput(
                f"UNetConfig.{name} is {getattr(config, name)} in a UNet without cross-attention; diffusers' {CLASS} "
                "has no such input."
            )
    down, up = write_block_types(config, WITHOUT_ATTENTION | {("self", config.resampling): WITH_ATTENTION})
    resampling = named(RESAMPLINGS, config.resampling)
    return {
        "_class_name": CLASS,
        **write_shared(config),
        "add_attention": config.middle_attention == "self",
        "attention_head_dim": _written_head_width(config),
        "attn_norm_num_groups": config.groups,
        "down_block_types": down,
        "downsample_type": resampling,
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": up,
        "upsample_type": resampling,
    }


def _check_middle_norm(fields: Fields, shared: dict[str, Any], middle: Attention) -> None:
    """The middle's attention must be normalised: there "scale_shift" leaves its norm out unless groups are given."""
    allowed = (shared["groups"],) if shared["modulation"] == "scale_and_shift" else (None, shared["groups"])
    if middle == "self" and fields.values.get("attn_norm_num_groups") not in allowed:
        raise fields.wrong("attn_norm_num_groups", f"it must be {shared['groups']}, as norm_num_groups")


def _either(level: Attention, middle: Attention) -> Attention:
    return "self" if "self" in (level, middle) else "none"


def _written_head_width(config: UNetConfig) -> int | None:
    """The width of every head; None means one head on each level, as wide as the level."""
    kinds = (*config.attention[:-1], _either(config.attention[-1], config.middle_attention))
    levels = zip(config.channels, config.heads, kinds, strict=True)
    attending = [(width, heads) for width, heads, kind in levels if kind == "self"]
    if all(heads == 1 for _, heads in attending):
        return None
    head_widths = {width // heads for width, heads in attending}
    if len(head_widths) > 1:
        raise BadInput(
            f"UNetConfig.heads is {config.heads} for channels {config.channels}: heads {sorted(head_widths)} wide; "
            f"diffusers' {CLASS} has one width for all."
        )
    return head_widths.pop()


def _read_heads(fields: Fields, channels: tuple[int, ...], kinds: tuple[Attention, ...]) -> tuple[int, ...]:
    if fields.values.get("attention_head_dim", 8) is None:  # one head, as wide as its level
        return (1,) * len(channels)
    head_width = fields.integer("attention_head_dim", 8)
    for width, kind in zip(channels, kinds, strict=True):
        if kind == "self" and width % head_width:
            raise fields.wrong("attention_head_dim", f"it must divide {width}, the width of a level with attention")
    return tuple(width // head_width if width % head_width == 0 else 1 for width in channels)
