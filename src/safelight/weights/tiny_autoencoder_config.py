"""TinyAutoencoderConfig to and from the config.json of diffusers' AutoencoderTiny, and from the tensors of a half."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from safelight.configs import TinyAutoencoderConfig
from safelight.errors import BadCheckpoint
from safelight.weights.fields import MOST, Fields

CLASS = "AutoencoderTiny"

ONLY: dict[str, tuple[Any, ...]] = {
    "_class_name": (CLASS,),
    "act_fn": ("relu",),
    "upsample_fn": ("nearest",),
    "upsampling_scaling_factor": (2,),
    "latent_magnitude": (3,),
    "latent_shift": (0.5,),
    "shift_factor": (None, 0),
}
BLOCK = re.compile(r"(\d+)\.conv\.0\.weight")
CONVOLUTION = re.compile(r"(\d+)\.weight")


def read_tiny_autoencoder_config(fields: Fields) -> TinyAutoencoderConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.only(ONLY)
    encoder_blocks = _blocks(fields, "num_encoder_blocks", (1, 3, 3, 3))
    decoder_blocks = _blocks(fields, "num_decoder_blocks", (3, 3, 3, 1))
    width = fields.same_integer("encoder_block_out_channels", 64, count=len(encoder_blocks))
    if fields.same_integer("decoder_block_out_channels", 64, count=len(decoder_blocks)) != width:
        raise fields.wrong("decoder_block_out_channels", f"it must be {width} on all levels, as the encoder's")
    image_channels = fields.integer("in_channels", 3)
    if fields.integer("out_channels", 3) != image_channels:
        raise fields.wrong("out_channels", f"it must equal in_channels, {image_channels}")
    return fields.build(
        TinyAutoencoderConfig,
        image_channels=image_channels,
        latent_channels=fields.integer("latent_channels", 4),
        width=width,
        encoder_blocks=encoder_blocks,
        decoder_blocks=decoder_blocks,
        scale=fields.number("scaling_factor", 1.0),
    )


def _blocks(fields: Fields, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    blocks = fields.integers(name, default)
    if max(blocks) > MOST:
        raise fields.wrong(name, f"a level has {MOST} blocks at most")
    return blocks


def write_tiny_autoencoder_config(config: TinyAutoencoderConfig) -> dict[str, Any]:
    """The config.json that diffusers reads."""
    widths = [config.width] * len(config.encoder_blocks)
    return {
        "_class_name": CLASS,
        "act_fn": "relu",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "force_upcast": False,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "latent_magnitude": 3,
        "latent_shift": 0.5,
        "num_decoder_blocks": list(config.decoder_blocks),
        "num_encoder_blocks": list(config.encoder_blocks),
        "out_channels": config.image_channels,
        "scaling_factor": config.scale,
        "upsample_fn": "nearest",
        "upsampling_scaling_factor": 2,
    }


def tiny_encoder_config(file: Path, tensors: Mapping[str, Tensor]) -> TinyAutoencoderConfig:
    """The configuration told from the tensors of an encoder alone (taesd_encoder); raises BadCheckpoint."""
    first, last, blocks = _row(file, tensors)
    return _config(first.shape[1], last.shape[0], first.shape[0], blocks, blocks[::-1])


def tiny_decoder_config(file: Path, tensors: Mapping[str, Tensor]) -> TinyAutoencoderConfig:
    """The configuration told from the tensors of a decoder alone (taesd_decoder); raises BadCheckpoint."""
    first, last, blocks = _row(file, tensors)
    return _config(last.shape[0], first.shape[1], first.shape[0], blocks[::-1], blocks)


def _config(
    image: int, latent: int, width: int, encoder_blocks: tuple[int, ...], decoder_blocks: tuple[int, ...]
) -> TinyAutoencoderConfig:
    return TinyAutoencoderConfig(
        image_channels=image,
        latent_channels=latent,
        width=width,
        encoder_blocks=encoder_blocks,
        decoder_blocks=decoder_blocks,
    )


def _row(file: Path, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """First and last convolution of a half, and the blocks of each level: those between two convolutions inside."""
    blocks = {int(match[1]) for name in tensors if (match := BLOCK.fullmatch(name))}
    convolutions = sorted(int(match[1]) for name in tensors if (match := CONVOLUTION.fullmatch(name)))
    ends = [tensors[f"{number}.weight"] for number in (convolutions[:1] + convolutions[-1:])]
    if len(convolutions) < 2 or not blocks or any(end.dim() != 4 or 0 in end.shape for end in ends):
        raise BadCheckpoint(
            f"{str(file)!r} is no half of a tiny autoencoder: it should hold a row of numbered convolutions and "
            f"blocks, 0.weight, 1.conv.0.weight and so on; it holds {', '.join(sorted(tensors)[:5]) or 'nothing'}."
        )
    counts = tuple(sum(start < number < end for number in blocks) for start, end in pairwise(convolutions))
    return ends[0], ends[1], counts
