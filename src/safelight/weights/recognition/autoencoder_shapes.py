"""An autoencoder's configuration from the shapes of its tensors: large or tiny, in every layout.

Groups and the scale of the latents leave no trace in shapes: `matching.py` takes the scale from the published model
that is meant; otherwise 1 is taken for a VQ autoencoder, and Stable Diffusion's for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from safelight.configs import AutoencoderConfig, TinyAutoencoderConfig
from safelight.errors import BadCheckpoint
from safelight.weights.recognition.shapes import Shapes, likely_groups


@dataclass(frozen=True)
class Naming:
    """Where a layout keeps what tells an autoencoder's shape; {} stands for a level or a block."""

    block: str
    second_conv: str
    level_attention: str
    middle_attention: str


ORIGINAL = Naming(
    "encoder.down.{level}.block.{block}",
    "conv2.weight",
    "encoder.down.{level}.attn.0.norm.weight",
    "decoder.mid.attn_1.norm.weight",
)
DIFFUSERS = Naming(
    "encoder.down_blocks.{level}.resnets.{block}",
    "conv2.weight",
    "encoder.down_blocks.{level}.attentions.0.group_norm.weight",
    "decoder.mid_block.attentions.0.group_norm.weight",
)


def original_autoencoder_config(shapes: Shapes) -> AutoencoderConfig:
    """Of AutoencoderKL and VQModel of the original repositories."""
    return _config(shapes, ORIGINAL)


def diffusers_autoencoder_config(shapes: Shapes) -> AutoencoderConfig:
    """Of diffusers' AutoencoderKL and VQModel."""
    return _config(shapes, DIFFUSERS)


def _config(shapes: Shapes, naming: Naming) -> AutoencoderConfig:
    first = f"{naming.block}.{naming.second_conv}"
    levels = shapes.count(first.format(level="#", block=0))
    channels = tuple(shapes.of(first.format(level=level, block=0), 4)[0] for level in range(levels))
    if not channels:
        raise BadCheckpoint(f"{shapes.part}: no level of its encoder was found.")
    attention = tuple(naming.level_attention.format(level=level) in shapes for level in range(levels))
    codebook = "quantize.embedding.weight"
    codes = shapes.of(codebook, 2)[0] if codebook in shapes else 0
    return AutoencoderConfig(
        image_channels=shapes.of("encoder.conv_in.weight", 4)[1],
        latent_channels=shapes.of("decoder.conv_in.weight", 4)[1],
        channels=channels,
        blocks_per_level=shapes.count(first.format(level=0, block="#")),
        attention=attention if any(attention) else (),
        middle_attention=naming.middle_attention in shapes,
        groups=likely_groups(channels),
        codes=codes,
        latent_convs="post_quant_conv.weight" in shapes,
        scale=1.0 if codes else AutoencoderConfig.scale,
    )


def tiny_autoencoder_config(shapes: Shapes) -> TinyAutoencoderConfig:
    """Of diffusers' AutoencoderTiny: as its author's, of any width and latent."""
    width, image, *_ = shapes.of("encoder.layers.0.weight", 4)
    return TinyAutoencoderConfig(
        image_channels=image, latent_channels=shapes.of("decoder.layers.0.weight", 4)[1], width=width
    )
