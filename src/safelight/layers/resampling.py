"""Halving and doubling the size of a feature map."""

from __future__ import annotations

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
    """Each position is repeated to fill `size`, then a convolution smooths the steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(b, c, h, w) -> (b, c, *size); `size` is twice h and w, or one less where the way down met an odd size."""
        return self.conv(functional.interpolate(x, size=size, mode="nearest"))
