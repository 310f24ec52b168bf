"""A map of labels brought down to a latent's size, to be joined to it (Rombach et al. 2022, section 4.3.2).

`SpatialRescaler` in ldm/modules/encoders/modules.py of CompVis/latent-diffusion.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import RescalerConfig


class Rescaler(nn.Module):
    """Halvings, each of two positions to their mean, then one mixing of the channels."""

    def __init__(self, config: RescalerConfig) -> None:
        super().__init__()
        self.config = config
        self.mix = nn.Conv2d(config.in_channels, config.out_channels, 1, bias=False)

    def forward(self, one_hot: Tensor) -> Tensor:
        """(b, labels, H, W), 1 in the channel of each position's label -> (b, out, H / 2**stages, W / 2**stages)."""
        x = one_hot
        for _ in range(self.config.stages):
            x = functional.interpolate(x, scale_factor=0.5, mode="bilinear")
        return self.mix(x)
