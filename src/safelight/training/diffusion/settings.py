"""The settings of stage three: what the UNet is shown, at which levels of noise, and how its errors count."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.data.backdrop import COLOURS
from safelight.errors import BadInput, unknown_name
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DiffusionDataConfig:
    """What the UNet is shown."""

    colours: tuple[str, ...] = ("white",)  # backgrounds that cut-out pictures are laid over; the first is the usual one
    white_share: float = 0.4  # of the samples of a picture with several backgrounds that show the usual one
    first_caption_share: float = 0.0  # of the samples, which get their first caption; the others get any
    caption_dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    prompts: tuple[str, ...] = ()  # of the sample sheet

    def __post_init__(self) -> None:
        check_bounds("data", self, 0, 1, "white_share", "first_caption_share", "caption_dropout")
        if not self.colours:
            raise BadInput(f"data.colours is empty; give at least one of {', '.join(COLOURS)}.")
        for colour in self.colours:
            if colour not in COLOURS:
                raise unknown_name("data.colours", colour, COLOURS)


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """At which levels of noise the UNet is asked, and how its errors count."""

    level_skew: float = 1.0  # levels are drawn with a density that rises as timestep ** (level_skew - 1)
    snr_limit: float = 5.0  # min-SNR weighting (Hang et al. 2023); 0 means none

    def __post_init__(self) -> None:
        check_bounds("objective", self, 0, float("inf"), "snr_limit")
        check_bounds("objective", self, 0.1, 10, "level_skew")
