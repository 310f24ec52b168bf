"""Every published model made small: the same architecture, few channels, random weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from safelight.autoencoder import Autoencoder
from safelight.catalog import CATALOG, PublishedModel
from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
from safelight.configs import AutoencoderConfig, BertConfig, TextEncoderConfig, UNetConfig
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder, Tokenizer
from safelight.unet import UNet
from safelight.weights import Parts
from weights.references import scrambled

CONTEXT, MEANING = 48, 24
TOKENIZER = Tokenizer.train(["a red fox under a full moon"] * 3, size=600, length=16)
# One row of each architecture; the others differ in weights alone, or in what shapes do not show.
ALIKE = {
    "sd-1.1",
    "sd-1.2",
    "sd-1.3",
    "sd-1.5",
    "sd-2.0-base",
    "sd-2.0",
    "sd-2.1-base",
    "ldm-ffhq",
    "ldm-lsun-bedrooms",
}
ARCHITECTURES = [row for row in CATALOG if row.name not in ALIKE]


def one_head_width(config: UNetConfig) -> bool:
    """Whether the heads are as wide on all levels, and there is more than one."""
    widths = {width // heads for width, heads in zip(config.channels, config.heads, strict=True)}
    return len(widths) == 1


def small_unet(config: UNetConfig) -> UNetConfig:
    finest = config.channels[0]
    channels = tuple(32 * (width // finest) for width in config.channels)
    return replace(
        config,
        channels=channels,
        heads=tuple(width // 16 for width in channels) if one_head_width(config) else tuple(2 for _ in channels),
        context_width=CONTEXT,
        classes=min(config.classes, 10),
        class_vector=2 * MEANING if config.class_vector else 0,
        sample_size=8,
    )


def small_autoencoder(config: AutoencoderConfig) -> AutoencoderConfig:
    channels = tuple(32 * min(2, width // config.channels[0]) for width in config.channels)
    return replace(config, channels=channels, blocks_per_level=1, codes=min(config.codes, 20))


def small_text(config: TextEncoderConfig | BertConfig) -> nn.Module:
    if isinstance(config, BertConfig):
        return BertEncoder(replace(config, vocabulary=40, length=16, width=CONTEXT, layers=2, heads=2))
    return TextEncoder(
        replace(
            config,
            vocabulary=len(TOKENIZER.vocabulary),
            length=16,
            width=CONTEXT,
            hidden_width=64,
            layers=2,
            heads=2,
            projection_width=CONTEXT,
        )
    )


def small_parts(row: PublishedModel) -> Parts:
    torch.manual_seed(0)
    text = None if row.text_encoder is None else scrambled(small_text(row.text_encoder))
    classes, rescaler, image = row.class_embedder, row.rescaler, row.image_encoder
    if image is not None:
        image = replace(image, size=28, width=32, hidden_width=40, layers=2, heads=2, projection_width=MEANING)
    return Parts(
        unet=scrambled(UNet(replace(small_unet(row.unet), blocks_per_level=1))),
        schedule=row.schedule,
        autoencoder=scrambled(Autoencoder(small_autoencoder(row.autoencoder))),
        tokenizer=TOKENIZER if isinstance(text, TextEncoder) else None,
        text_encoder=text,
        class_embedder=ClassEmbedder(replace(classes, classes=11, width=CONTEXT)) if classes else None,
        rescaler=Rescaler(replace(rescaler, in_channels=12)) if rescaler else None,
        image_encoder=scrambled(ImageEmbedder(image)) if image else None,
        embedding_statistics=scrambled(EmbeddingStatistics(MEANING)) if image else None,
        noise_schedule=row.noise_schedule,
    )


def networks(parts: Parts) -> dict[str, nn.Module]:
    return {name: part for name, part in vars(parts).items() if isinstance(part, nn.Module)}


def assert_equal(one: Parts, other: Parts) -> None:
    """Bit by bit, types and settings included."""
    assert networks(one).keys() == networks(other).keys()
    for name, network in networks(one).items():
        mine, its = network.state_dict(), networks(other)[name].state_dict()
        assert mine.keys() == its.keys(), name
        for key, tensor in mine.items():
            assert tensor.dtype == its[key].dtype, (name, key)
            assert torch.equal(tensor, its[key]), (name, key)
        if hasattr(network, "config"):
            assert network.config == networks(other)[name].config, name
    assert (one.schedule, one.noise_schedule) == (other.schedule, other.noise_schedule)
