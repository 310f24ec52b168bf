"""A tiny model of each kind in the family, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from tiny_model import tiny_parts
from torch import nn

from safelight.autoencoder import Autoencoder, Pixels
from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    ImageEncoderConfig,
    RescalerConfig,
    ScheduleConfig,
    UNetConfig,
)
from safelight.text import BertEncoder, ImageEmbedder
from safelight.text.vocabulary import bert_tokenizer
from safelight.unet import UNet
from safelight.weights import Parts

UNET = UNetConfig(
    channels=(32, 64),
    groups=16,
    blocks_per_level=1,
    attention=("cross", "none"),
    heads=(4, 4),
    context_width=32,
    sample_size=8,
)
NO_TEXT = replace(UNET, attention=("none", "self"), middle_attention="self", in_channels=3, out_channels=3)
VQ = AutoencoderConfig(channels=(32, 32, 32), latent_channels=3, codes=64, blocks_per_level=1, groups=16, scale=1.0)
PAPER = ScheduleConfig(beta_start=0.0015, beta_end=0.0195)


def shaken(network: Any, seed: int = 1) -> Any:
    """Weights that are not at their start, so that every term counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(False)


def built(make: Callable[[], nn.Module]) -> Any:
    """A network of fixed random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return shaken(make())


def with_text(**changes: Any) -> Parts:
    """A model of Stable Diffusion's make with another UNet."""
    return replace(tiny_parts(), unet=built(lambda: UNet(replace(UNET, **changes))))


def without_text(unet: UNetConfig, **parts: Any) -> Parts:
    """One of the paper's models."""
    return Parts(unet=built(lambda: UNet(unet)), autoencoder=built(lambda: Autoencoder(VQ)), schedule=PAPER, **parts)


def upscaler() -> Parts:
    four = AutoencoderConfig(channels=(32, 32, 32), blocks_per_level=1, groups=16, scale=0.08333)
    return replace(
        with_text(in_channels=7, classes=1000, attention=("only_cross", "none"), channels=(64, 64)),
        autoencoder=built(lambda: Autoencoder(four)),
        schedule=ScheduleConfig(prediction="v"),
        noise_schedule=ScheduleConfig(beta_start=0.0001, beta_end=0.02),
    )


def variation() -> Parts:
    images = ImageEncoderConfig(size=32, patch=8, width=32, hidden_width=64, layers=2, heads=4, projection_width=24)
    return replace(
        with_text(class_vector=48),
        schedule=ScheduleConfig(prediction="v"),
        image_encoder=built(lambda: ImageEmbedder(images)),
        embedding_statistics=shaken(EmbeddingStatistics(24)),
        noise_schedule=ScheduleConfig(law="cosine"),
    )


def layout() -> Parts:
    words = BertConfig(vocabulary=8192, length=92, width=32, layers=2, heads=2, head_width=16)
    return without_text(replace(UNET, in_channels=3, out_channels=3), text_encoder=built(lambda: BertEncoder(words)))


def bert() -> Parts:
    """The paper's text-to-image model, which reads BERT's own vocabulary."""
    words = BertConfig(width=32, layers=2, heads=2, head_width=16)
    encoder = built(lambda: BertEncoder(words))
    return replace(with_text(), tokenizer=bert_tokenizer(), text_encoder=encoder)


FAMILY: dict[str, Callable[[], Parts]] = {
    "text": tiny_parts,
    "bert": bert,
    "inpainting": lambda: with_text(in_channels=9),
    "filling": lambda: without_text(replace(NO_TEXT, in_channels=7)),
    "depth": lambda: with_text(in_channels=5),
    "instruction": lambda: with_text(in_channels=8),
    "upscaling": upscaler,
    "variation": variation,
    "unconditional": lambda: without_text(NO_TEXT),
    "pixels": lambda: replace(without_text(NO_TEXT), autoencoder=Pixels()),
    "class": lambda: without_text(
        replace(UNET, in_channels=3, out_channels=3),
        class_embedder=built(lambda: ClassEmbedder(ClassEmbedderConfig(classes=11, width=32))),
    ),
    "layout": layout,
    "semantic": lambda: without_text(
        replace(NO_TEXT, in_channels=6),
        rescaler=built(lambda: Rescaler(RescalerConfig(stages=2, in_channels=7, out_channels=3))),
    ),
    "restoration": lambda: without_text(replace(NO_TEXT, in_channels=6)),
}
