"""The network of the restyle stage."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor, nn

from safelight.configs import Attention, UNetConfig
from safelight.training.restyling.settings import RestylingConfig
from safelight.unet import UNet

NONE: Attention = "none"


class Restyler(nn.Module):
    """A UNet whose input is all drawings of a thing, one on top of the other, and whose class is the wanted style.

    It knows no noise: it is asked at one level alone, and adds to the mean of what it is shown. Under the square error
    it gives the mean of all that the drawing may be: sharp where styles share their designs, soft where they do not.
    """

    def __init__(self, styles: int, channels: int, config: RestylingConfig) -> None:
        super().__init__()
        levels = len(config.channels)
        self.unet = UNet(
            UNetConfig(
                in_channels=styles * (channels + 1),
                out_channels=channels,
                channels=config.channels,
                blocks_per_level=config.blocks_per_level,
                attention=(NONE,) * levels,
                middle_attention=NONE,
                heads=(1,) * levels,
                groups=gcd(32, *config.channels),
                classes=styles,
            )
        )

    def forward(self, drawings: Tensor, there: Tensor, wanted: Tensor) -> Tensor:
        """The drawing in another style: (b, c, h, w).

        drawings: (b, s, c, h, w), latents by style. there: (b, s), 1 where there is one, 0 elsewhere; at least one is.
        wanted: (b,) int64, places of styles.
        """
        weights = there[:, :, None, None, None].to(drawings)
        shown = drawings * weights
        marks = weights.expand_as(drawings[:, :, :1])
        mean = shown.sum(1) / weights.sum(1)
        stack = torch.cat([shown, marks], dim=2).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        return mean + self.unet(stack, 0.0, class_label=wanted)
