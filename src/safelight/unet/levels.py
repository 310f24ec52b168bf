"""The levels of the UNet: blocks at one size, on the way down and on the way up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from safelight.configs import Attention, UNetConfig
from safelight.errors import BadInput
from safelight.layers.attention import SpatialSelfAttention
from safelight.layers.resampling import Downsample, Upsample
from safelight.layers.residual import ResidualBlock, ResidualDownsample, ResidualUpsample
from safelight.unet.transformer import SpatialTransformer


class Block(nn.Module):
    """A residual block (which sees the noise level, never the text), then attention (which may see the text)."""

    def __init__(
        self, config: UNetConfig, in_channels: int, out_channels: int, attention: Attention, heads: int
    ) -> None:
        super().__init__()
        self.residual = residual_block(config, in_channels, out_channels)
        self.attention = attention_layer(config, out_channels, attention, heads)

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> Tensor:
        """(b, in, h, w), (b, e), (b, m, context_width) -> (b, out, h, w)."""
        return attend(self.attention, self.residual(x, embedding), context)


class DownLevel(nn.Module):
    """Blocks at one size, then a halving on every level but the coarsest; every feature map is kept for the way up."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        before, width = config.channels[max(level - 1, 0)], config.channels[level]
        self.blocks = nn.ModuleList(
            Block(config, before if i == 0 else width, width, config.attention[level], config.heads[level])
            for i in range(config.blocks_per_level)
        )
        self.downsample = halving(config, width) if level < len(config.channels) - 1 else None

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> list[Tensor]:
        """(b, in, h, w) -> all feature maps of the level; the last one goes on."""
        kept = []
        for block in self.blocks:
            x = block(x, embedding, context)
            kept.append(x)
        if self.downsample is not None:
            kept.append(halve(self.downsample, x, embedding))
        return kept


class Middle(nn.Module):
    """Residual block, attention, residual block, at the coarsest size."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.residual1 = residual_block(config, width, width)
        self.attention = attention_layer(config, width, config.middle_attention, config.heads[-1])
        self.residual2 = residual_block(config, width, width)

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return self.residual2(attend(self.attention, self.residual1(x, embedding), context), embedding)


class UpLevel(nn.Module):
    """Blocks at one size, each joined by a skip connection from the way down; then a doubling on all but the finest."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        width = config.channels[level]
        coarser = config.channels[min(level + 1, len(config.channels) - 1)]
        finer = config.channels[max(level - 1, 0)]
        last = config.blocks_per_level
        self.blocks = nn.ModuleList(
            Block(
                config,
                (coarser if i == 0 else width) + (finer if i == last else width),
                width,
                config.attention[level],
                config.heads[level],
            )
            for i in range(last + 1)
        )
        self.upsample = doubling(config, width) if level > 0 else None

    def forward(self, x: Tensor, skips: list[Tensor], embedding: Tensor, context: Tensor | None) -> Tensor:
        """(b, c, h, w) -> (b, c, 2 h, 2 w), or the same size on the finest level; takes its share off `skips`' end."""
        for block in self.blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding, context)
        if self.upsample is not None:
            height, width = skips[-1].shape[-2:]
            x = double(self.upsample, x, embedding, (height, width))
        return x


def residual_block(
    config: UNetConfig, in_channels: int, out_channels: int, kind: type[ResidualBlock] = ResidualBlock
) -> ResidualBlock:
    """A residual block of this UNet; the embedding is four times as wide as the finest level."""
    return kind(
        in_channels,
        out_channels,
        embedding_width=4 * config.channels[0],
        groups=config.groups,
        norm_epsilon=config.norm_epsilon,
        modulation=config.modulation,
    )


def halving(config: UNetConfig, channels: int) -> nn.Module:
    """What halves the size between two levels."""
    if config.resampling == "residual":
        return residual_block(config, channels, channels, ResidualDownsample)
    return Downsample(channels)


def halve(layer: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
    """Apply a halving of either kind: (b, c, h, w) -> (b, c, h / 2, w / 2)."""
    return layer(x, embedding) if isinstance(layer, ResidualDownsample) else layer(x)


def doubling(config: UNetConfig, channels: int) -> nn.Module:
    """What doubles the size between two levels."""
    if config.resampling == "residual":
        return residual_block(config, channels, channels, ResidualUpsample)
    return Upsample(channels)


def double(layer: nn.Module, x: Tensor, embedding: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply a doubling of either kind: (b, c, h, w) -> (b, c, *size)."""
    return layer(x, embedding, size) if isinstance(layer, ResidualUpsample) else layer(x, size)


def attention_layer(config: UNetConfig, channels: int, attention: Attention, heads: int) -> nn.Module:
    """What follows a residual block: nothing, self-attention, or a transformer that reads the conditioning."""
    if attention == "none":
        return nn.Identity()
    if attention == "self":
        return SpatialSelfAttention(channels, heads=heads, groups=config.groups, norm_epsilon=config.norm_epsilon)
    return SpatialTransformer(
        channels,
        context_width=config.context_width,
        heads=heads,
        depth=config.transformer_depth,
        groups=config.groups,
        projection=config.projection,
        attention=attention,
    )


def attend(layer: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """Apply an attention layer of either kind: (b, c, h, w) -> (b, c, h, w)."""
    if not isinstance(layer, SpatialTransformer):
        return layer(x)
    if context is None:
        raise BadInput("This UNet reads text by cross-attention: it needs `context` (b, n, context_width), got None.")
    return layer(x, context)
