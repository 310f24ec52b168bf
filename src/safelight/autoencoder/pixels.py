"""No autoencoder: for diffusion on the pixels themselves (Ho et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from safelight.autoencoder.distributions import Point


@dataclass(frozen=True, kw_only=True)
class PixelsConfig:
    """What an autoencoder's configuration says, of none."""

    image_channels: int = 3
    latent_channels: int = 3
    scale: float = 1.0
    factor: int = 1


class Pixels(nn.Module):
    """Latents that are the picture."""

    def __init__(self, config: PixelsConfig | None = None) -> None:
        super().__init__()
        self.config = config or PixelsConfig()

    def encode(self, image: Tensor) -> Point:
        """(b, 3, H, W) -> itself, as a distribution without spread."""
        return Point(image)

    def decode(self, latent: Tensor) -> Tensor:
        """(b, 3, H, W) -> itself."""
        return latent
