"""The settings of distillation to few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What the student learns of its teacher."""

    method: Literal["guidance", "consistency", "trajectories"] = "consistency"  # see docs/distillation.md
    learner: Literal["unet", "lora"] = "unet"  # a whole UNet of its own, or a LoRA beside the teacher's
    go_on: bool = False  # of a LoRA: begin with the one that the model has already for few steps
    lowest_guidance: float = 3.0  # of the teacher's guidance scales, which are drawn evenly between the two
    highest_guidance: float = 9.0  # the largest of them
    guidance_start: float = 0.0  # the share of the teacher's way before its guidance begins
    guidance_end: float = 1.0  # the share of its way after which it has none
    guidance_width: int = 256  # of the waves that tell the student the scale
    grid: int = 50  # steps of the teacher's way from noise to picture: the student jumps from any of them
    huber: float = 0.001  # errors far below it count squared, those far above it as they are
    trajectories: int = 2000  # of method "trajectories": ways that the teacher walks before the first step

    def __post_init__(self) -> None:
        check_bounds("distill", self, 0, float("inf"), "lowest_guidance", "highest_guidance")
        check_bounds("distill", self, 0, 1, "guidance_start", "guidance_end")
        check_bounds("distill", self, 2, 1000, "grid")
        check_bounds("distill", self, 1, float("inf"), "trajectories")
        if self.highest_guidance < self.lowest_guidance:
            raise BadInput(
                f"distill.highest_guidance is {self.highest_guidance:g}; it must be at least lowest_guidance, "
                f"{self.lowest_guidance:g}."
            )
        if self.learner == "lora" and self.method == "guidance":
            raise BadInput('distill.method is "guidance", whose student takes many steps; a LoRA is for few steps.')
        if self.learner == "lora" and self.highest_guidance != self.lowest_guidance:
            raise BadInput(
                f"distill.highest_guidance is {self.highest_guidance:g}; a LoRA is not told the scale, so it must be "
                f"that of distill.lowest_guidance, {self.lowest_guidance:g}."
            )
        if self.go_on and self.learner != "lora":
            raise BadInput(f'distill.go_on is true, which is for distill.learner "lora", not {self.learner!r}.')
        if self.guidance_width < 4 or self.guidance_width % 2:
            raise BadInput(f"distill.guidance_width is {self.guidance_width}; it must be an even number from 4.")
        if not self.huber > 0:
            raise BadInput(f"distill.huber is {self.huber:g}; it must be above 0.")
