"""The settings of stage three: what the UNet is shown, and how its errors count."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.data.backdrop import COLOURS
from safelight.errors import BadInput, unknown_name
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DiffusionDataConfig:
    """What the UNet is shown, and how its errors count."""

    colours: tuple[str, ...] = ("white",)  # backgrounds that cut-out pictures are laid over; the first is the usual one
    white_share: float = 0.4  # of the samples of a picture with several backgrounds that show the usual one
    first_caption_share: float = 0.0  # of the samples, which get their first caption; the others get any
    level_skew: float = 1.0  # levels are drawn with a density that rises as timestep ** (level_skew - 1)
    caption_dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    snr_limit: float = 5.0  # min-SNR weighting (Hang et al. 2023); 0 means none
    prompts: tuple[str, ...] = ()  # of the sample sheet

    def __post_init__(self) -> None:
        check_bounds("data", self, 0, 1, "white_share", "first_caption_share", "caption_dropout")
        check_bounds("data", self, 0, float("inf"), "snr_limit")
        check_bounds("data", self, 0.1, 10, "level_skew")
        if not self.colours:
            raise BadInput(f"data.colours is empty; give at least one of {', '.join(COLOURS)}.")
        for colour in self.colours:
            if colour not in COLOURS:
                raise unknown_name("data.colours", colour, COLOURS)
