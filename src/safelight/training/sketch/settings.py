"""The settings of the sketch stage."""

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
