"""The names of diffusers' AutoencoderKL and VQModel."""

from __future__ import annotations

from safelight.weights.block_keys import OLDER_SELF_ATTENTION, RESIDUAL, SELF_ATTENTION
from safelight.weights.key_table import KeyTable, Rows, under


def _middle(half: str) -> Rows:
    return (
        *under(f"{half}.middle.residual1", f"{half}.mid_block.resnets.0", RESIDUAL),
        *under(f"{half}.middle.attention", f"{half}.mid_block.attentions.0", SELF_ATTENTION),
        *under(f"{half}.middle.residual2", f"{half}.mid_block.resnets.1", RESIDUAL),
    )


def _ends(half: str) -> Rows:
    return under(half, half, (("conv_in", "conv_in"), ("norm_out", "conv_norm_out"), ("conv_out", "conv_out")))


AUTOENCODER_KEYS = KeyTable(
    rows=(
        *_ends("encoder"),
        *under("encoder.down.#.residual.#", "encoder.down_blocks.#.resnets.#", RESIDUAL),
        *under("encoder.down.#.attention.#", "encoder.down_blocks.#.attentions.#", SELF_ATTENTION),
        ("encoder.down.#.downsample.conv", "encoder.down_blocks.#.downsamplers.0.conv"),
        *_middle("encoder"),
        ("moments", "quant_conv"),
        ("codebook.entries", "quantize.embedding"),
        ("latent_in", "post_quant_conv"),
        *_middle("decoder"),
        *under("decoder.up.#.residual.#", "decoder.up_blocks.#.resnets.#", RESIDUAL),
        *under("decoder.up.#.attention.#", "decoder.up_blocks.#.attentions.#", SELF_ATTENTION),
        ("decoder.up.#.upsample.conv", "decoder.up_blocks.#.upsamplers.0.conv"),
        *_ends("decoder"),
    ),
    older=(
        *under("encoder.down.#.attention.#", "encoder.down_blocks.#.attentions.#", OLDER_SELF_ATTENTION),
        *under("encoder.middle.attention", "encoder.mid_block.attentions.0", OLDER_SELF_ATTENTION),
        *under("decoder.up.#.attention.#", "decoder.up_blocks.#.attentions.#", OLDER_SELF_ATTENTION),
        *under("decoder.middle.attention", "decoder.mid_block.attentions.0", OLDER_SELF_ATTENTION),
    ),
)
