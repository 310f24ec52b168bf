"""The UNet noise predictor (Ho et al. 2020, appendix B; with text: Rombach et al. 2022, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import UNetConfig
from safelight.errors import BadInput
from safelight.layers.embeddings import ContextPooling, EmbeddingPerceptron, guidance_embedding, sinusoidal_embedding
from safelight.layers.normalisation import GroupNorm
from safelight.unet.levels import DownLevel, Middle, UpLevel


class Residuals(NamedTuple):
    """What a ControlNet adds (Zhang et al. 2023): to each skip connection, from the finest, and to the middle."""

    skips: Sequence[Tensor]
    middle: Tensor


class UNet(nn.Module):
    """Noisy latent, noise level and conditioning in; prediction out."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        finest = config.channels[0]
        self.level_embedding = EmbeddingPerceptron(finest, 4 * finest)
        self.guidance_projection = (
            nn.Linear(config.guidance_width, finest, bias=False) if config.guidance_width else None
        )
        self.class_embedding = class_embedding(config)
        self.context_pooling = context_pooling(config)
        self.conv_in = nn.Conv2d(config.in_channels, finest, 3, padding=1)
        levels = range(len(config.channels))
        self.down = nn.ModuleList(DownLevel(config, level) for level in levels)
        self.middle = Middle(config)
        self.up = nn.ModuleList(UpLevel(config, level) for level in reversed(levels))
        self.norm_out = GroupNorm(config.groups, finest, eps=config.norm_epsilon)
        self.conv_out = nn.Conv2d(finest, config.out_channels, 3, padding=1)

    def forward(
        self,
        latent: Tensor,
        timestep: Tensor | float,
        context: Tensor | None = None,
        class_label: Tensor | None = None,
        residuals: Residuals | tuple[Sequence[Tensor], Tensor] | None = None,
        guidance: Tensor | float | None = None,
    ) -> Tensor:
        """Predict from a noisy latent.

        latent: (b, in_channels, h, w), variance preserving. timestep: scalar or (b,), 0 to 999, may be fractional.
        context: (b, n, context_width), for a UNet with cross-attention.
        class_label: (b,) int64, for one with a table of classes; (b, class_vector), for one that reads a vector.
        residuals: what a ControlNet adds to the skip connections and to the middle.
        guidance: scalar or (b,), 1 = none, for one that was distilled to imitate guidance of that scale.
        Returns (b, out_channels, h, w). Raises BadInput where an input that the network needs is missing or misshapen.
        """
        embedding = self.embed(latent, timestep, class_label, guidance, context)
        x = self.conv_in(latent)
        skips = [x]
        for down in self.down:
            skips.extend(down(skips[-1], embedding, context))
        x = self.middle(skips[-1], embedding, context)
        if residuals is not None:
            x, skips = controlled(x, skips, Residuals(*residuals))
        for up in self.up:
            x = up(x, skips, embedding, context)
        return self.conv_out(functional.silu(self.norm_out(x)))

    def embed(
        self,
        latent: Tensor,
        timestep: Tensor | float,
        class_label: Tensor | None = None,
        guidance: Tensor | float | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """The vector that tells the residual blocks the noise level, the class and the text: (b, e)."""
        dtype = self.conv_in.weight.dtype
        waves = sinusoidal_embedding(
            _one_each(timestep, latent),
            self.config.channels[0],
            sine_first=self.config.sine_first,
            frequency_shift=self.config.frequency_shift,
        ).to(dtype)
        if self.guidance_projection is not None:
            if guidance is None:
                raise BadInput(
                    "This UNet was distilled with guidance: it needs `guidance`, a scale (1 = none), got None."
                )
            known = guidance_embedding(_one_each(guidance, latent), self.config.guidance_width)
            waves = waves + self.guidance_projection(known.to(dtype))
        embedding = self.level_embedding(waves) + pooled(self.context_pooling, context)
        if self.class_embedding is None:
            return embedding
        check_class_label(self.config, class_label)
        return embedding + self.class_embedding(class_label)


def class_embedding(config: UNetConfig) -> nn.Module | None:
    """What turns a label into a vector as wide as the embedding: a table, a perceptron, or None for no labels."""
    if config.classes:
        return nn.Embedding(config.classes, 4 * config.channels[0])
    if config.class_vector:
        return EmbeddingPerceptron(config.class_vector, 4 * config.channels[0])
    return None


def context_pooling(config: UNetConfig) -> ContextPooling | None:
    """What turns the context into a vector as wide as the embedding, or None where only cross-attention reads it."""
    if not config.pooling_heads:
        return None
    return ContextPooling(config.context_width, 4 * config.channels[0], heads=config.pooling_heads)


def pooled(pooling: ContextPooling | None, context: Tensor | None) -> Tensor | float:
    """The context as a vector (b, e) to add to the embedding; 0 where it is not pooled, or not there."""
    return 0.0 if pooling is None or context is None else pooling(context)


def check_class_label(config: UNetConfig, label: Tensor | None) -> None:
    """Raise BadInput where a UNet with labels gets none, or one of another kind."""
    given = "None" if label is None else f"{str(label.dtype).removeprefix('torch.')} {tuple(label.shape)}"
    if config.classes and (label is None or label.dim() != 1 or label.is_floating_point()):
        raise BadInput(f"This UNet knows {config.classes} classes: it needs `class_label` (b,) int64, got {given}.")
    if config.class_vector and (label is None or label.shape[1:] != (config.class_vector,)):
        raise BadInput(
            f"This UNet reads a vector: it needs `class_label` (b, {config.class_vector}) of floats, got {given}."
        )


def controlled(x: Tensor, skips: list[Tensor], residuals: Residuals) -> tuple[Tensor, list[Tensor]]:
    """The middle's feature map and the skip connections with a ControlNet's residuals added; raises BadInput."""
    if len(residuals.skips) != len(skips):
        raise BadInput(f"residuals has {len(residuals.skips)} tensors for {len(skips)} skip connections.")
    for given, expected in zip((*residuals.skips, residuals.middle), (*skips, x), strict=True):
        if given.shape != expected.shape:
            raise BadInput(f"residuals has a tensor {tuple(given.shape)} for a feature map {tuple(expected.shape)}.")
    return x + residuals.middle, [skip + added for skip, added in zip(skips, residuals.skips, strict=True)]


def _one_each(number: Tensor | float, latent: Tensor) -> Tensor:
    return torch.as_tensor(number, device=latent.device).expand(latent.shape[0])
