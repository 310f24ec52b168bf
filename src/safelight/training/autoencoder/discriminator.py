"""A discriminator of patches (Isola et al. 2017, section 3.2.2 and appendix 6.1.2) and its hinge loss.

Published ones normalise over the batch. This one normalises by groups of channels (Wu & He 2018), so that the verdict
on a picture does not depend on the pictures beside it, and no running statistics have to be kept with a checkpoint.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from safelight.layers.normalisation import GroupNorm
from safelight.training.autoencoder.settings import DiscriminatorConfig

WIDEST = 8  # times as many channels as the first layer has, at most
GROUPS = 32  # at most
SLOPE = 0.2  # of the leaky rectifier below zero


class Discriminator(nn.Module):
    """A picture -> for each of its patches how real it looks."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        widths = [config.width * min(2**level, WIDEST) for level in range(config.levels + 1)]
        self.first = nn.Conv2d(3, widths[0], 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            _block(widths[level], widths[level + 1], stride=2 if level < config.levels - 1 else 1)
            for level in range(config.levels)
        )
        self.verdict = nn.Conv2d(widths[-1], 1, 4, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, h, w) in [-1, 1] -> (b, 1, h / 2**levels - 2, w / 2**levels - 2): above 0 for real, below for made."""
        x = functional.leaky_relu(self.first(image), SLOPE)
        for block in self.blocks:
            x = block(x)
        return self.verdict(x)


def hinge_loss(of_real: Tensor, of_made: Tensor) -> Tensor:
    """What the discriminator minimises, of its verdicts: real above 1, made below -1 (Lim & Ye 2017)."""
    return 0.5 * (functional.relu(1 - of_real).mean() + functional.relu(1 + of_made).mean())


def _block(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 4, stride=stride, padding=1, bias=False),
        GroupNorm(math.gcd(GROUPS, out_channels), out_channels),
        nn.LeakyReLU(SLOPE),
    )
