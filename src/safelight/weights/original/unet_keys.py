"""The names of the original UNet: UNetModel in ldm/modules/diffusionmodules/openaimodel.py of CompVis/latent-diffusion.

It numbers its blocks in one row each way, halvings and doublings among them, and the parts of a block by their order.
Its self-attention fuses queries, keys and values in one convolution of width 1, head by head.
"""

from __future__ import annotations

from functools import cache

from safelight.configs import Attention, Resampling, UNetConfig
from safelight.weights.block_keys import CONTEXT_POOLING
from safelight.weights.key_table import KeyTable, Packed, Rows, packed_under, under
from safelight.weights.packing import Packing
from safelight.weights.unet_keys import TRANSFORMER

RESIDUAL: Rows = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("embedding", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("shortcut", "skip_connection"),
)
ATTENTION: dict[Attention, Rows] = {
    "none": (),
    "self": (("norm", "norm"),),
    "cross": TRANSFORMER,
    "only_cross": TRANSFORMER,
}
HALVING: dict[Resampling, Rows] = {"conv": (("conv", "op"),), "residual": RESIDUAL}
DOUBLING: dict[Resampling, Rows] = {"conv": (("conv", "conv"),), "residual": RESIDUAL}

ENDS: Rows = (
    ("level_embedding.linear1", "time_embed.0"),
    ("level_embedding.linear2", "time_embed.2"),
    ("guidance_projection", "time_embed.cond_proj"),  # not in the original: LCM came later
    ("class_embedding", "label_emb"),  # a table of classes
    ("class_embedding.linear1", "label_emb.0.0"),  # or a perceptron over a vector
    ("class_embedding.linear2", "label_emb.0.2"),
    *CONTEXT_POOLING,
    ("conv_in", "input_blocks.0.0"),
    ("norm_out", "out.0"),
    ("conv_out", "out.2"),
)


@cache
def original_unet_keys(config: UNetConfig) -> KeyTable:
    """The table of one UNet."""
    rows: Rows = ENDS
    packed: tuple[Packed, ...] = ()
    for ours, theirs, kind, heads in _attention_places(config):
        rows += under(ours, theirs, ATTENTION[kind])
        packed += packed_under(ours, theirs, self_attention(heads)) if kind == "self" else ()
    return KeyTable(rows=(*rows, *_residual_rows(config), *_resampling_rows(config)), packed=packed)


def self_attention(heads: int) -> tuple[Packed, ...]:
    """The fused projections of AttentionBlock: convolutions of width 1, in the order of QKVAttentionLegacy."""
    fused = ("attention.query", "attention.key", "attention.value")
    return (
        Packed(fused, "qkv", Packing(heads=heads, trailing=1)),
        Packed(("attention.out",), "proj_out", Packing(trailing=1)),
    )


def _down(config: UNetConfig, level: int, block: int) -> str:
    """Where a block of the way down stands; the one after a level's last halves the size."""
    return f"input_blocks.{1 + level * (config.blocks_per_level + 1) + block}"


def _up(config: UNetConfig, place: int, block: int) -> str:
    """Where a block of the way up stands, levels counted from the coarsest."""
    return f"output_blocks.{place * (config.blocks_per_level + 1) + block}"


def _residual_rows(config: UNetConfig) -> Rows:
    rows = under("middle.residual1", "middle_block.0", RESIDUAL)
    rows += under("middle.residual2", f"middle_block.{1 + (config.middle_attention != 'none')}", RESIDUAL)
    for level in range(len(config.channels)):
        for block in range(config.blocks_per_level):
            rows += under(f"down.{level}.blocks.{block}.residual", f"{_down(config, level, block)}.0", RESIDUAL)
        for block in range(config.blocks_per_level + 1):
            rows += under(f"up.{level}.blocks.{block}.residual", f"{_up(config, level, block)}.0", RESIDUAL)
    return rows


def _resampling_rows(config: UNetConfig) -> Rows:
    rows: Rows = ()
    last = config.blocks_per_level
    for level in range(len(config.channels) - 1):
        rows += under(f"down.{level}.downsample", f"{_down(config, level, last)}.0", HALVING[config.resampling])
        attends = config.attention[::-1][level] != "none"
        rows += under(f"up.{level}.upsample", f"{_up(config, level, last)}.{1 + attends}", DOUBLING[config.resampling])
    return rows


def _attention_places(config: UNetConfig) -> list[tuple[str, str, Attention, int]]:
    """(our module, theirs, kind, heads) of every block that attends."""
    places = [("middle.attention", "middle_block.1", config.middle_attention, config.heads[-1])]
    for level, (kind, heads) in enumerate(zip(config.attention, config.heads, strict=True)):
        place = len(config.channels) - 1 - level  # on the way up
        for block in range(config.blocks_per_level):
            places.append((f"down.{level}.blocks.{block}.attention", f"{_down(config, level, block)}.1", kind, heads))
        for block in range(config.blocks_per_level + 1):
            places.append((f"up.{place}.blocks.{block}.attention", f"{_up(config, place, block)}.1", kind, heads))
    return places
