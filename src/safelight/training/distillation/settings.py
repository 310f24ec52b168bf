"""The settings of distillation to few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What the student learns of its teacher."""

    method: Literal["guidance", "consistency"] = "consistency"
    lowest_guidance: float = 3.0  # of the teacher's guidance scales, which are drawn evenly between the two
    highest_guidance: float = 9.0
    grid: int = 50  # steps of the teacher's grid: the student jumps from any of them

    def __post_init__(self) -> None:
        check_bounds("distill", self, 0, float("inf"), "lowest_guidance", "highest_guidance")
        check_bounds("distill", self, 2, 1000, "grid")
