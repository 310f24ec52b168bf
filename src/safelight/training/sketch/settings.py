"""The settings of the sketch stage, and of a UNet that follows the sketch."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class SketchConfig:
    """What the text encoder foretells, and with which of its states."""

    included: bool = False  # in `train all`: diffusion then reads the text encoder that this stage leaves
    size: int = 256  # pixels of the square pictures for a new model; --model has its own
    cells: int = 8  # each way: the picture is parted into so many squares, and each of the last states foretells one
    new_layers: int = 0  # that the text encoder gets behind its own, where those hold what they can

    def __post_init__(self) -> None:
        check_bounds("sketch", self, 1, float("inf"), "size", "cells")
        check_bounds("sketch", self, 0, float("inf"), "new_layers")


@dataclass(frozen=True, kw_only=True)
class FollowingConfig:
    """How a UNet is taught to follow the sketch that its text encoder holds; with nothing here, it is not."""

    share: float = 0.0  # of the samples, that show the sketch of a caption in place of a picture
    lowest: float = 0.85  # share of the noise levels that lie below those at which a sketch is shown
    heads: int = 0  # of each cross-attention of the up path, that are turned to their own squares at the start
    cells: int = 8  # squares of the sketch each way

    def __post_init__(self) -> None:
        check_bounds("following", self, 0, 1, "share", "lowest")
        check_bounds("following", self, 0, float("inf"), "heads")
        check_bounds("following", self, 1, float("inf"), "cells")

    @property
    def asked(self) -> bool:
        """Whether anything is done for it."""
        return bool(self.share or self.heads)
