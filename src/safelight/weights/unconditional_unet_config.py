"""UNetConfig to and from the config.json of diffusers' UNet2DModel: a UNet that reads no text.

`attention_head_dim` is here what it says: the width of one head, the same on all levels.
"""

from __future__ import annotations

from typing import Any

from safelight.configs import Attention, UNetConfig
from safelight.errors import BadInput
from safelight.weights.fields import Fields
from safelight.weights.unet_blocks import read_block_types, read_shared, write_block_types, write_shared

CLASS = "UNet2DModel"
KINDS: dict[Attention, str] = {"none": "", "self": "Attn"}
MIDDLES: dict[bool, Attention] = {True: "self", False: "none"}

ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": (CLASS,),
    "mid_block_type": ("UNetMidBlock2D",),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "attn_norm_num_groups": (None,),
}


def read_unconditional_unet_config(fields: Fields) -> UNetConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    shared = read_shared(fields, in_channels=3, channels=(224, 448, 672, 896))
    attention = read_block_types(
        fields, ("DownBlock2D",) + ("AttnDownBlock2D",) * 3, ("AttnUpBlock2D",) * 3 + ("UpBlock2D",), KINDS
    )
    middle: Attention = fields.choice("add_attention", True, MIDDLES)
    if len(attention) != len(shared["channels"]):
        raise fields.wrong("down_block_types", f"it needs {len(shared['channels'])} entries, as block_out_channels")
    return fields.build(
        UNetConfig,
        **shared,
        attention=attention,
        middle_attention=middle,
        heads=_read_heads(fields, shared["channels"], (*attention[:-1], _either(attention[-1], middle))),
    )


def write_unconditional_unet_config(config: UNetConfig) -> dict[str, Any]:
    """The config.json that diffusers reads; raises BadInput for a UNet that this layout cannot say."""
    down, up = write_block_types(config.attention, KINDS)
    return {
        "_class_name": CLASS,
        **write_shared(config),
        "add_attention": config.middle_attention == "self",
        "attention_head_dim": _written_head_width(config),
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": up,
    }


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
