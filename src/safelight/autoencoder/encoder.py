"""The encoder half of the autoencoder: residual levels that halve the size, then a middle.

The first stages of Rombach et al. 2022 (appendix G) differ in where they attend: SD's in the middle alone, those of
f = 8 with a codebook, f = 16 and f = 32 on their coarsest levels as well, that of inpainting_big nowhere.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import AutoencoderConfig
from safelight.layers.attention import SpatialSelfAttention
from safelight.layers.normalisation import GroupNorm
from safelight.layers.resampling import DownsampleBottomRight
from safelight.layers.residual import ResidualBlock

NORM_EPSILON = 1e-6


def attention_or_nothing(channels: int, *, groups: int, attends: bool) -> nn.Module:
    """Self-attention over the positions where a level `attends`, and what returns its input where it does not."""
    if not attends:
        return nn.Identity()
    return SpatialSelfAttention(channels, heads=1, groups=groups, norm_epsilon=NORM_EPSILON)


def residual_blocks(in_channels: int, out_channels: int, *, count: int, groups: int) -> nn.ModuleList:
    """`count` residual blocks in a row; the first changes the width."""
    return nn.ModuleList(
        ResidualBlock(
            in_channels if i == 0 else out_channels,
            out_channels,
            embedding_width=0,
            groups=groups,
            norm_epsilon=NORM_EPSILON,
        )
        for i in range(count)
    )


class Middle(nn.Module):
    """Residual block, self-attention, residual block, at the coarsest level."""

    def __init__(self, channels: int, config: AutoencoderConfig) -> None:
        super().__init__()
        self.residual1 = ResidualBlock(
            channels, channels, embedding_width=0, groups=config.groups, norm_epsilon=NORM_EPSILON
        )
        self.attention = attention_or_nothing(channels, groups=config.groups, attends=config.middle_attention)
        self.residual2 = ResidualBlock(
            channels, channels, embedding_width=0, groups=config.groups, norm_epsilon=NORM_EPSILON
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return self.residual2(self.attention(self.residual1(x)))


class EncoderLevel(nn.Module):
    """Residual blocks at one size, each with attention where the level has it; then a halving, but on the last."""

    def __init__(
        self, in_channels: int, out_channels: int, *, blocks: int, groups: int, attends: bool, downsample: bool
    ) -> None:
        super().__init__()
        self.residual = residual_blocks(in_channels, out_channels, count=blocks, groups=groups)
        self.attention = nn.ModuleList(
            attention_or_nothing(out_channels, groups=groups, attends=attends) for _ in range(blocks)
        )
        self.downsample = DownsampleBottomRight(out_channels) if downsample else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, h / 2, w / 2), or the same size on the last level."""
        for block, attend in zip(self.residual, self.attention, strict=True):
            x = attend(block(x))
        return self.downsample(x)


class Encoder(nn.Module):
    """Image -> what the latent is made from: `config.moments` channels."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        channels = config.channels
        last = len(channels) - 1
        self.conv_in = nn.Conv2d(config.image_channels, channels[0], 3, padding=1)
        self.down = nn.ModuleList(
            EncoderLevel(
                channels[max(i - 1, 0)],
                channels[i],
                blocks=config.blocks_per_level,
                groups=config.groups,
                attends=config.attends(i),
                downsample=i < last,
            )
            for i in range(len(channels))
        )
        self.middle = Middle(channels[-1], config)
        self.norm_out = GroupNorm(config.groups, channels[-1], eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(channels[-1], config.moments, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, H, W) in [-1, 1] -> (b, moments, H / f, W / f)."""
        x = self.conv_in(image)
        for level in self.down:
            x = level(x)
        x = self.middle(x)
        return self.conv_out(functional.silu(self.norm_out(x)))
