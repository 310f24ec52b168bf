"""CLIP and either of its encoders, with or without projection, from and to their folders in the transformers layout.

`dtype` converts while reading, None keeps the file's; `variant` reads the files of that name, such as "fp16". What
reads raises BadCheckpoint, what writes BadInput.
"""

from __future__ import annotations

from pathlib import Path

import torch

from safelight.text import CLIP, ImageEmbedder, ImageEncoder, TextEmbedder, TextEncoder
from safelight.weights.clip_config import (
    read_clip_config,
    read_image_config,
    read_text_config,
    write_clip_config,
    write_image_config,
    write_image_embedder_config,
    write_text_config,
    write_text_embedder_config,
)
from safelight.weights.clip_keys import (
    CLIP_KEYS,
    IMAGE_EMBEDDER_KEYS,
    IMAGE_ENCODER_KEYS,
    TEXT_EMBEDDER_KEYS,
    TEXT_ENCODER_KEYS,
)
from safelight.weights.network_folder import TRANSFORMERS, load_network, read_config, save_network


def load_text_encoder(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> TextEncoder:
    """A CLIP text encoder (CLIPTextModel, or CLIPTextModelWithProjection without its projection)."""
    config = read_text_config(read_config(folder))
    return load_network(
        "text encoder", lambda: TextEncoder(config), TEXT_ENCODER_KEYS, folder, TRANSFORMERS, dtype, variant
    )


def load_image_encoder(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> ImageEncoder:
    """A CLIP image encoder (CLIPVisionModel, or CLIPVisionModelWithProjection without its projection)."""
    config = read_image_config(read_config(folder))
    return load_network(
        "image encoder", lambda: ImageEncoder(config), IMAGE_ENCODER_KEYS, folder, TRANSFORMERS, dtype, variant
    )


def load_text_embedder(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> TextEmbedder:
    """A CLIP text encoder with its projection (CLIPTextModelWithProjection)."""
    config = read_text_config(read_config(folder))
    return load_network(
        "text encoder", lambda: TextEmbedder(config), TEXT_EMBEDDER_KEYS, folder, TRANSFORMERS, dtype, variant
    )


def load_image_embedder(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> ImageEmbedder:
    """A CLIP image encoder with its projection (CLIPVisionModelWithProjection)."""
    config = read_image_config(read_config(folder))
    return load_network(
        "image encoder", lambda: ImageEmbedder(config), IMAGE_EMBEDDER_KEYS, folder, TRANSFORMERS, dtype, variant
    )


def load_clip(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> CLIP:
    """Both of CLIP's encoders, their projections and temperature (CLIPModel)."""
    text, image = read_clip_config(read_config(folder))
    return load_network("CLIP", lambda: CLIP(text, image), CLIP_KEYS, folder, TRANSFORMERS, dtype, variant)


def save_text_encoder(folder: Path | str, encoder: TextEncoder) -> None:
    """Write a CLIP text encoder."""
    save_network(folder, write_text_config(encoder.config), TRANSFORMERS, encoder, TEXT_ENCODER_KEYS)


def save_image_encoder(folder: Path | str, encoder: ImageEncoder) -> None:
    """Write a CLIP image encoder."""
    save_network(folder, write_image_config(encoder.config), TRANSFORMERS, encoder, IMAGE_ENCODER_KEYS)


def save_text_embedder(folder: Path | str, embedder: TextEmbedder) -> None:
    """Write a CLIP text encoder with its projection."""
    save_network(folder, write_text_embedder_config(embedder.config), TRANSFORMERS, embedder, TEXT_EMBEDDER_KEYS)


def save_image_embedder(folder: Path | str, embedder: ImageEmbedder) -> None:
    """Write a CLIP image encoder with its projection."""
    save_network(folder, write_image_embedder_config(embedder.config), TRANSFORMERS, embedder, IMAGE_EMBEDDER_KEYS)


def save_clip(folder: Path | str, clip: CLIP) -> None:
    """Write the whole of CLIP."""
    save_network(folder, write_clip_config(clip.text.config, clip.image.config), TRANSFORMERS, clip, CLIP_KEYS)
