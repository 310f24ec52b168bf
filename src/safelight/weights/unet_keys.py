"""The names of diffusers' UNet2DConditionModel and UNet2DModel, which agree."""

from __future__ import annotations

from safelight.configs import Attention, Resampling, UNetConfig
from safelight.weights.block_keys import CONTEXT_POOLING, OLDER_SELF_ATTENTION, RESIDUAL, SELF_ATTENTION
from safelight.weights.key_table import KeyTable, Rows, under

_ATTENTION: Rows = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("out", "to_out.0"))

TRANSFORMER: Rows = (
    ("norm", "norm"),
    ("project_in", "proj_in"),
    ("blocks.#.norm1", "transformer_blocks.#.norm1"),
    *under("blocks.#.self_attention", "transformer_blocks.#.attn1", _ATTENTION),
    ("blocks.#.norm2", "transformer_blocks.#.norm2"),
    *under("blocks.#.cross_attention", "transformer_blocks.#.attn2", _ATTENTION),
    ("blocks.#.norm3", "transformer_blocks.#.norm3"),
    ("blocks.#.perceptron.up", "transformer_blocks.#.ff.net.0.proj"),
    ("blocks.#.perceptron.down", "transformer_blocks.#.ff.net.2"),
    ("project_out", "proj_out"),
)

ATTENTION: dict[Attention, Rows] = {
    "none": (),
    "self": SELF_ATTENTION,
    "cross": TRANSFORMER,
    "only_cross": TRANSFORMER,
}
OLDER_ATTENTION: dict[Attention, Rows] = {"none": (), "self": OLDER_SELF_ATTENTION, "cross": (), "only_cross": ()}
RESAMPLING: dict[Resampling, Rows] = {"conv": (("conv", "conv"),), "residual": RESIDUAL}

ENDS: Rows = (
    ("level_embedding.linear1", "time_embedding.linear_1"),
    ("level_embedding.linear2", "time_embedding.linear_2"),
    ("guidance_projection", "time_embedding.cond_proj"),
    ("class_embedding", "class_embedding"),  # a table of classes
    ("class_embedding.linear1", "class_embedding.linear_1"),  # or a perceptron over a vector
    ("class_embedding.linear2", "class_embedding.linear_2"),
    *CONTEXT_POOLING,
    ("conv_in", "conv_in"),
    ("norm_out", "conv_norm_out"),
    ("conv_out", "conv_out"),
)


def unet_keys(config: UNetConfig) -> KeyTable:
    """The table of one UNet; which rows a level needs depends on its attention and on how it is resized."""
    return KeyTable(
        rows=(
            *ENDS,
            *under("down.#.blocks.#.residual", "down_blocks.#.resnets.#", RESIDUAL),
            *under("down.#.downsample", "down_blocks.#.downsamplers.0", RESAMPLING[config.resampling]),
            *under("middle.residual1", "mid_block.resnets.0", RESIDUAL),
            *under("middle.residual2", "mid_block.resnets.1", RESIDUAL),
            *under("up.#.blocks.#.residual", "up_blocks.#.resnets.#", RESIDUAL),
            *under("up.#.upsample", "up_blocks.#.upsamplers.0", RESAMPLING[config.resampling]),
            *_attention_rows(config, ATTENTION),
        ),
        older=_attention_rows(config, OLDER_ATTENTION),
    )


def _attention_rows(config: UNetConfig, inside: dict[Attention, Rows]) -> Rows:
    rows = under("middle.attention", "mid_block.attentions.0", inside[config.middle_attention])
    for direction, kinds in (("down", config.attention), ("up", config.attention[::-1])):
        for place, kind in enumerate(kinds):
            rows += under(
                f"{direction}.{place}.blocks.#.attention", f"{direction}_blocks.{place}.attentions.#", inside[kind]
            )
    return rows
