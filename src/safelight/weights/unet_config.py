"""UNetConfig to and from the config.json of diffusers' UNet2DConditionModel: a UNet that reads text.

A UNet without cross-attention is a UNet2DModel there: see unconditional_unet_config.py.

What that layout calls `attention_head_dim` is the number of heads wherever a transformer stands, and the width of one
head in its blocks of self-attention; there the up path also reads the list in the order of the down path. Its
`only_cross_attention` never reaches the middle, nor levels without cross-attention. We follow what its code does, not
its names.
"""

from __future__ import annotations

from typing import Any

from safelight.configs import Attention, Projection, UNetConfig
from safelight.errors import BadInput
from safelight.weights.fields import MOST, Fields
from safelight.weights.unet_blocks import (
    Level,
    Names,
    named,
    read_block_types,
    read_shared,
    write_block_types,
    write_shared,
)

CLASS = "UNet2DConditionModel"
BLOCKS: dict[Level, Names] = {
    ("none", "conv"): ("DownBlock2D", "UpBlock2D"),
    ("none", "residual"): ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
    ("self", "conv"): ("AttnDownBlock2D", "AttnUpBlock2D"),
    ("cross", "conv"): ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"),
}
MIDDLES: dict[str | None, Attention] = {"UNetMidBlock2DCrossAttn": "cross"}
PROJECTIONS: dict[bool, Projection] = {False: "conv", True: "linear"}
POOLINGS = {None: "none", "text": "pooled"}
CLASS_EMBEDDINGS = {None: "table", "projection": "vector"}

ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": (CLASS,),
    "mid_block_only_cross_attention": (None, False),
    "reverse_transformer_layers_per_block": (None,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "num_attention_heads": (None,),
    "dual_cross_attention": (False,),
    "resnet_skip_time_act": (False,),
    "resnet_out_scale_factor": (1,),
    "time_embedding_act_fn": (None,),
    "timestep_post_act": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "attention_type": ("default",),
    "class_embeddings_concat": (False,),
    "cross_attention_norm": (None,),
}


def read_unet_config(fields: Fields) -> UNetConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    shared = read_shared(fields, in_channels=4, channels=(320, 640, 1280, 1280))
    levels = len(shared["channels"])
    blocks, resampling = read_block_types(
        fields, ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, BLOCKS
    )
    if len(blocks) != levels:
        raise fields.wrong("down_block_types", f"it needs {levels} entries, one for each of block_out_channels")
    return fields.build(
        UNetConfig,
        **shared,
        attention=_read_attention(fields, blocks),
        middle_attention=fields.choice("mid_block_type", "UNetMidBlock2DCrossAttn", MIDDLES),
        resampling=resampling,
        heads=_read_heads(fields, shared["channels"], blocks),
        transformer_depth=fields.same_integer("transformer_layers_per_block", 1, count=levels, most=MOST),
        context_width=fields.same_integer("cross_attention_dim", 1280, count=levels),
        projection=fields.choice("use_linear_projection", False, PROJECTIONS),
        class_vector=_read_class_vector(fields),
        guidance_width=_integer_or_none(fields, "time_cond_proj_dim"),
        pooling_heads=_read_pooling(fields),
    )


def write_unet_config(config: UNetConfig) -> dict[str, Any]:
    """The config.json that diffusers reads; raises BadInput for a UNet that this layout cannot say."""
    if config.middle_attention != "cross":
        raise BadInput(
            f"UNetConfig.middle_attention is {config.middle_attention!r} in a UNet with cross-attention; "
            f"diffusers' {CLASS} has only 'cross'."
        )
    heads = _written_heads(config)
    down, up = write_block_types(config, BLOCKS | {("only_cross", "conv"): BLOCKS["cross", "conv"]})
    only_cross = [kind == "only_cross" for kind in config.attention]
    return {
        "_class_name": CLASS,
        **write_shared(config),
        **({"addition_embed_type_num_heads": config.pooling_heads} if config.pooling_heads else {}),
        "addition_embed_type": named(POOLINGS, "pooled" if config.pooling_heads else "none"),
        "attention_head_dim": heads[0] if len(set(heads)) == 1 else heads,
        "class_embed_type": named(CLASS_EMBEDDINGS, "vector" if config.class_vector else "table"),
        "cross_attention_dim": config.context_width,
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "only_cross_attention": only_cross if any(only_cross) else False,
        "projection_class_embeddings_input_dim": config.class_vector or None,
        "time_cond_proj_dim": config.guidance_width or None,
        "transformer_layers_per_block": config.transformer_depth,
        "up_block_types": up,
        "use_linear_projection": config.projection == "linear",
    }


def _read_attention(fields: Fields, blocks: tuple[Attention, ...]) -> tuple[Attention, ...]:
    """The attention of each level, now that `only_cross_attention` is known."""
    given = fields.values.get("only_cross_attention", False)
    entries = [given] * len(blocks) if isinstance(given, bool) else given
    if not isinstance(entries, list) or len(entries) != len(blocks) or not all(isinstance(e, bool) for e in entries):
        raise fields.wrong("only_cross_attention", f"allowed: false, true, or a list of {len(blocks)} of them")
    return tuple("only_cross" if only and kind == "cross" else kind for kind, only in zip(blocks, entries, strict=True))


def _read_class_vector(fields: Fields) -> int:
    if fields.choice("class_embed_type", None, CLASS_EMBEDDINGS) == "vector":
        return fields.integer("projection_class_embeddings_input_dim", 0)
    if fields.values.get("projection_class_embeddings_input_dim") is not None:
        raise fields.wrong("projection_class_embeddings_input_dim", 'it needs class_embed_type "projection"')
    return 0


def _read_pooling(fields: Fields) -> int:
    if fields.choice("addition_embed_type", None, POOLINGS) == "none":
        return 0
    return fields.integer("addition_embed_type_num_heads", 64)


def _integer_or_none(fields: Fields, name: str) -> int:
    return 0 if fields.values.get(name) is None else fields.integer(name, 0)


def _read_heads(fields: Fields, channels: tuple[int, ...], attention: tuple[Attention, ...]) -> tuple[int, ...]:
    given = fields.integers("attention_head_dim", 8, count=len(channels))
    heads = []
    for width, kind, entry, mirrored in zip(channels, attention, given, given[::-1], strict=True):
        if kind == "self" and (entry != mirrored or width % entry):
            raise fields.wrong(
                "attention_head_dim",
                f"with self-attention in a level {width} wide it must divide {width} and read the same backwards",
            )
        own = width // entry if kind == "self" else entry
        heads.append(1 if kind == "none" and width % entry else own)
    if heads[-1] != given[-1]:  # the middle, a transformer, takes its number of heads from the coarsest level
        raise fields.wrong(
            "attention_head_dim", f"its last entry must be a number of heads for {channels[-1]} channels"
        )
    return tuple(heads)


def _written_heads(config: UNetConfig) -> list[int]:
    written = list(config.heads)
    last = len(written) - 1
    for level in (level for level, kind in enumerate(config.attention) if kind == "self"):
        written[level] = config.channels[level] // config.heads[level]
        if config.attention[last - level] == "none" and level > 0:  # a level without attention has no heads of its own
            written[last - level] = written[level]
    _check_mirrored(config, written)
    return written


def _check_mirrored(config: UNetConfig, written: list[int]) -> None:
    last = len(written) - 1
    for level, kind in enumerate(config.attention):
        read_as = {written[level], written[last - level]}
        if level == last:
            read_as.add(config.heads[level])  # by the middle
        if kind == "self" and len(read_as) > 1:
            raise BadInput(
                f"UNetConfig.heads is {config.heads} with attention {config.attention}; diffusers' {CLASS} reads its "
                f"list of heads backwards in self-attention, and needs {written} to be the same both ways."
            )
