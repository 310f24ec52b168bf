"""The decoder half of the autoencoder: the encoder mirrored, with one more block on each level."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from safelight.autoencoder.encoder import NORM_EPSILON, Middle, attention_or_nothing, residual_blocks
from safelight.configs import AutoencoderConfig
from safelight.layers.normalisation import GroupNorm
from safelight.layers.resampling import UpsampleTwice


class DecoderLevel(nn.Module):
    """Residual blocks at one size, each with attention where the level has it; then a doubling, but on the finest."""

    def __init__(
        self, in_channels: int, out_channels: int, *, blocks: int, groups: int, attends: bool, upsample: bool
    ) -> None:
        super().__init__()
        self.residual = residual_blocks(in_channels, out_channels, count=blocks, groups=groups)
        self.attention = nn.ModuleList(
            attention_or_nothing(out_channels, groups=groups, attends=attends) for _ in range(blocks)
        )
        self.upsample = UpsampleTwice(out_channels) if upsample else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, 2 h, 2 w), or the same size on the finest level."""
        for block, attend in zip(self.residual, self.attention, strict=True):
            x = attend(block(x))
        if self.upsample is not None:
            x = self.upsample(x)
        return x


class Decoder(nn.Module):
    """Latent -> image."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        coarse_to_fine = config.channels[::-1]
        last = len(coarse_to_fine) - 1
        self.conv_in = nn.Conv2d(config.latent_channels, coarse_to_fine[0], 3, padding=1)
        self.middle = Middle(coarse_to_fine[0], config)
        self.up = nn.ModuleList(
            DecoderLevel(
                coarse_to_fine[max(i - 1, 0)],
                coarse_to_fine[i],
                blocks=config.blocks_per_level + 1,
                groups=config.groups,
                attends=config.attends(last - i),
                upsample=i < last,
            )
            for i in range(len(coarse_to_fine))
        )
        self.norm_out = GroupNorm(config.groups, coarse_to_fine[-1], eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(coarse_to_fine[-1], config.image_channels, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, 3, f h, f w), about in [-1, 1]."""
        x = self.middle(self.conv_in(latent))
        for level in self.up:
            x = level(x)
        return self.conv_out(functional.silu(self.norm_out(x)))
