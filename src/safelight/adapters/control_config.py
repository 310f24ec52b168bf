"""The shape of a ControlNet."""

from __future__ import annotations

from dataclasses import dataclass, field

from safelight.configs import UNetConfig
from safelight.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """A ControlNet for a UNet of the shape `unet` (Zhang et al. 2023, section 3.2). Default: SD 1.x.

    Of `unet` it has all but the way up.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    hint_channels: int = 3  # of the picture that steers
    hint_widths: tuple[int, ...] = (16, 32, 96, 256)  # every step from one to the next halves the picture

    def __post_init__(self) -> None:
        if self.hint_channels < 1 or not self.hint_widths or min(self.hint_widths) < 1:
            raise BadInput(
                f"ControlConfig has hint_channels {self.hint_channels} and hint_widths {self.hint_widths}; "
                "there must be one width or more, and all must be at least 1."
            )
        for name in ("classes", "class_vector", "guidance_width"):
            if getattr(self.unet, name):
                raise BadInput(f"ControlConfig.unet.{name} is {getattr(self.unet, name)}; a ControlNet has none (0).")

    @property
    def factor(self) -> int:
        """How many times larger than the latent the picture is, each way."""
        return int(2 ** (len(self.hint_widths) - 1))

    @property
    def skip_channels(self) -> tuple[int, ...]:
        """The channels of each skip connection of the UNet, from the finest."""
        widths = self.unet.channels
        levels = [
            [width] * (self.unet.blocks_per_level + (level < len(widths) - 1)) for level, width in enumerate(widths)
        ]
        return (widths[0], *(width for level in levels for width in level))
