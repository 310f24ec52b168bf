"""The settings of the decoder stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Which decoder learns to paint pictures, and from which latents."""

    tiny_blocks: tuple[int, ...] = ()  # of each level of a new tiny decoder that learns instead, beside the model's own
    tiny_width: int = 64  # channels of that one, on all levels
    tiny_go_on: bool = False  # the tiny decoder that the model has beside it learns on instead, with its own shape
    fitted: int = 0  # whole pictures that the last convolution is fitted to, in closed form, before the first step
    redrawn: int = 2000  # latents that the model draws anew before the first step, each from noise over a picture's own
    redrawn_share: float = 0.65  # of the samples, which are painted from those; the others from the pictures' own
    redrawn_where: dict[str, tuple[str, ...]] = field(default_factory=dict)  # fields of the pictures that are redrawn
    cleanest: int = 100  # timestep of the least noise that a picture is redrawn from
    noisiest: int = 650  # of the most
    steps: int = 5  # of each redrawing

    def __post_init__(self) -> None:
        if self.tiny_blocks and min(self.tiny_blocks) < 1:
            raise BadInput(f"decoder.tiny_blocks is {list(self.tiny_blocks)}; a level has at least one block.")
        if self.tiny_blocks and self.tiny_go_on:
            raise BadInput(
                f"decoder.tiny_go_on is true and decoder.tiny_blocks is {list(self.tiny_blocks)}; the model's own tiny "
                "decoder keeps its blocks, so give one of the two."
            )
        check_bounds("decoder", self, 1, float("inf"), "tiny_width")
        check_bounds("decoder", self, 0, float("inf"), "fitted", "redrawn")
        check_bounds("decoder", self, 0, 1, "redrawn_share")
        check_bounds("decoder", self, 1, 999, "cleanest", "noisiest")
        check_bounds("decoder", self, 1, 1000, "steps")
        if self.noisiest < self.cleanest:
            raise BadInput(f"decoder.noisiest is {self.noisiest}; it must be at least cleanest, {self.cleanest}.")
