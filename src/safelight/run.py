"""A request made ready for one model: its size, seeds and pictures are settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from safelight.diffusion.guidance import Guidance
from safelight.diffusion.plan import Plan
from safelight.request import Request
from safelight.source import Source


@dataclass(frozen=True)
class Run:
    """What is to be drawn, and how.

    source: the picture given, and its mask. starts_from_source: whether the walk starts from it instead of from noise.
    maps: the further pictures that the model is shown, by the name of the request's field. control_images: those that
    its ControlNets are shown.
    """

    request: Request
    width: int
    height: int
    seed: int
    source: Source | None
    plan: Plan
    strength: float = 1.0
    starts_from_source: bool = False
    maps: Mapping[str, Image.Image] = field(default_factory=dict)
    control_images: Sequence[Image.Image] = ()

    @property
    def first_step(self) -> int:
        """How many steps of the grid are left out: none from noise, (1 - strength) of them from a picture."""
        if not self.starts_from_source:
            return 0
        steps = self.request.num_inference_steps
        return steps - min(int(steps * self.strength), steps)

    @property
    def total(self) -> int:
        """How many steps will be taken."""
        return len(self.plan.sigmas) - 1 - self.first_step

    @property
    def guidance(self) -> Guidance:
        """How each step is steered, of those that are taken."""
        request = self.request
        interval = self.plan.steered(request.guidance_start, request.guidance_end, self.first_step)
        return Guidance(request.guidance_scale, request.guidance_rescale, interval)

    @property
    def seeds(self) -> list[int]:
        """The seed of each picture."""
        return [self.seed + i for i in range(len(self.request.picture_prompts))]
