"""The names of the original AutoencoderKL and VQModel: ldm/models/autoencoder.py of CompVis/latent-diffusion.

Levels are numbered from the finest in both halves. Attention is made of convolutions of 1x1.
"""

from __future__ import annotations

from functools import cache

from safelight.configs import AutoencoderConfig
from safelight.weights.key_table import KeyTable, Packed, Rows, packed_under, under
from safelight.weights.packing import POINTWISE

RESIDUAL: Rows = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("shortcut", "nin_shortcut"),
)
NORM: Rows = (("norm", "norm"),)
ATTENTION: tuple[Packed, ...] = (
    Packed(("attention.query",), "q", POINTWISE),
    Packed(("attention.key",), "k", POINTWISE),
    Packed(("attention.value",), "v", POINTWISE),
    Packed(("attention.out",), "proj_out", POINTWISE),
)
ENDS: Rows = (("conv_in", "conv_in"), ("norm_out", "norm_out"), ("conv_out", "conv_out"))
MIDDLE: Rows = (
    *under("middle.residual1", "mid.block_1", RESIDUAL),
    *under("middle.residual2", "mid.block_2", RESIDUAL),
)


@cache
def original_autoencoder_keys(config: AutoencoderConfig) -> KeyTable:
    """The table of one autoencoder."""
    levels = len(config.channels)
    attention = [
        ("encoder.middle.attention", "encoder.mid.attn_1"),
        ("decoder.middle.attention", "decoder.mid.attn_1"),
        ("encoder.down.#.attention.#", "encoder.down.#.attn.#"),
        *((f"decoder.up.{levels - 1 - level}.attention.#", f"decoder.up.{level}.attn.#") for level in range(levels)),
    ]
    rows: Rows = (
        *under("encoder", "encoder", (*ENDS, *MIDDLE)),
        *under("encoder.down.#.residual.#", "encoder.down.#.block.#", RESIDUAL),
        ("encoder.down.#.downsample.conv", "encoder.down.#.downsample.conv"),
        ("moments", "quant_conv"),
        ("codebook.entries", "quantize.embedding"),
        ("latent_in", "post_quant_conv"),
        *under("decoder", "decoder", (*ENDS, *MIDDLE)),
    )
    for level in range(levels):
        ours, theirs = f"decoder.up.{levels - 1 - level}", f"decoder.up.{level}"
        rows += under(f"{ours}.residual.#", f"{theirs}.block.#", RESIDUAL)
        rows += ((f"{ours}.upsample.conv", f"{theirs}.upsample.conv"),)
    for ours, theirs in attention:
        rows += under(ours, theirs, NORM)
    packed = tuple(row for ours, theirs in attention for row in packed_under(ours, theirs, ATTENTION))
    return KeyTable(rows=rows, packed=packed)
