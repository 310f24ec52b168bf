"""The settings of the restyle stage."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class RestylingConfig:
    """The network that turns a thing's drawings in some styles into its drawing in another, and what it is shown."""

    channels: tuple[int, ...] = (64, 128, 256)  # of each level of the network, a UNet without attention
    blocks_per_level: int = 2  # of its down path
    hidden: float = 0.6  # the largest share of a thing's other drawings that a sample leaves out
    shift: int = 1  # latent positions that all drawings of a sample are moved together at most, each way
    sharpened: tuple[str, ...] = ()  # styles that come out soft, as no other shares their designs
    sharpening: float = 1.2  # of what is made in those; see `clearing.py`

    def __post_init__(self) -> None:
        check_bounds("restyling", self, 1, float("inf"), "blocks_per_level")
        check_bounds("restyling", self, 0, 1, "hidden")
        check_bounds("restyling", self, 0, 8, "shift")
        check_bounds("restyling", self, 0, 5, "sharpening")
