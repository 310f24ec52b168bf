"""Halving and doubling the size of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Downsample(nn.Module):
    """A convolution of stride 2, padded evenly: the UNet's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, ceil(h / 2), ceil(w / 2))."""
        return self.conv(x)


class DownsampleBottomRight(nn.Module):
    """A convolution of stride 2, padded below and to the right only: the autoencoder's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, floor(h / 2), floor(w / 2))."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Each position is repeated to fill `size`, then a convolution smooths the steps: the UNet's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(b, c, h, w) -> (b, c, *size); `size` is twice h and w, or one less where the way down met an odd size."""
        return self.conv(functional.interpolate(x, size=size, mode="nearest"))


class UpsampleTwice(nn.Module):
    """The same for exactly twice the size, in one step: the autoencoder's, which spends a third of its time here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _ConvOfDoubled(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, 2 h, 2 w)."""
        return self.conv(x)


class _ConvOfDoubled(nn.Conv2d):
    """A 3x3 convolution of a map whose positions stand twice in each direction, which need not be made for it.

    Of the nine weights of a result those that meet the same position are summed first, which leaves four products of
    nine. In other words: a transposed convolution of stride 2, whose 4x4 kernel is this one spread over 2x2 boxes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, out, 2 h, 2 w)."""
        if self._pays_for(x):
            return functional.conv_transpose2d(x, spread(self.weight), self.bias, stride=2, padding=1)
        return super().forward(functional.interpolate(x, scale_factor=2.0, mode="nearest"))

    @staticmethod
    def _pays_for(x: Tensor) -> bool:
        """On a processor, where positions outnumber channels: else spreading costs what it saves."""
        return x.device.type == "cpu" and x.shape[2] * x.shape[3] >= x.shape[1]


def spread(kernel: Tensor) -> Tensor:
    """The kernel (out, in, 3, 3) of a convolution after a doubling -> that of the transposed one, (in, out, 4, 4)."""
    for direction in (2, 3):
        first, middle, last = (kernel.select(direction, i) for i in range(3))
        kernel = torch.stack([last, middle + last, first + middle, first], direction)
    return kernel.transpose(0, 1)
