"""The small networks of conditioning/ from and to their folders.

`dtype` converts while reading, None keeps the file's; `variant` reads the files of that name, such as "fp16". What
reads raises BadCheckpoint, what writes BadInput. Only unCLIP's statistics have a layout of diffusers'; the others keep
their own names.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
from safelight.configs import ClassEmbedderConfig, RescalerConfig
from safelight.weights.key_table import KeyTable
from safelight.weights.network_folder import DIFFUSERS, load_network, read_config, save_network

STATISTICS_KEYS = KeyTable(rows=(("mean", "mean"), ("deviation", "std")))
CLASS_EMBEDDER_KEYS = KeyTable(rows=(("embedding", "embedding"),))
RESCALER_KEYS = KeyTable(rows=(("mix", "channel_mapper"),))


def load_embedding_statistics(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> EmbeddingStatistics:
    """Mean and deviation of CLIP's image vectors (StableUnCLIPImageNormalizer)."""
    width = read_config(folder).integer("embedding_dim", 768)
    return load_network(
        "image normaliser", lambda: EmbeddingStatistics(width), STATISTICS_KEYS, folder, DIFFUSERS, dtype, variant
    )


def save_embedding_statistics(folder: Path | str, statistics: EmbeddingStatistics) -> None:
    """Write them."""
    config = {"_class_name": "StableUnCLIPImageNormalizer", "embedding_dim": statistics.width}
    save_network(folder, config, DIFFUSERS, statistics, STATISTICS_KEYS)


def load_class_embedder(
    folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None
) -> ClassEmbedder:
    """A table of classes."""
    fields = read_config(folder)
    config = fields.build(
        ClassEmbedderConfig, classes=fields.integer("classes", 1001), width=fields.integer("width", 512)
    )
    return load_network(
        "class embedder", lambda: ClassEmbedder(config), CLASS_EMBEDDER_KEYS, folder, DIFFUSERS, dtype, variant
    )


def save_class_embedder(folder: Path | str, embedder: ClassEmbedder) -> None:
    """Write it."""
    config = {"_class_name": "ClassEmbedder", **asdict(embedder.config)}
    save_network(folder, config, DIFFUSERS, embedder, CLASS_EMBEDDER_KEYS)


def load_rescaler(folder: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> Rescaler:
    """What brings a map of labels to a latent's size."""
    fields = read_config(folder)
    config = fields.build(
        RescalerConfig,
        stages=fields.integer("stages", 2),
        in_channels=fields.integer("in_channels", 182),
        out_channels=fields.integer("out_channels", 3),
    )
    return load_network("rescaler", lambda: Rescaler(config), RESCALER_KEYS, folder, DIFFUSERS, dtype, variant)


def save_rescaler(folder: Path | str, rescaler: Rescaler) -> None:
    """Write it."""
    save_network(folder, {"_class_name": "Rescaler", **asdict(rescaler.config)}, DIFFUSERS, rescaler, RESCALER_KEYS)
