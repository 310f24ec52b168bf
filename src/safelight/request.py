"""What a caller may ask of the pipeline, checked before any work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from safelight.errors import BadInput, unknown_name
from safelight.recipe import finite, whole_number

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from safelight.conditioning import Box

MOST_STEPS = 1000
MOST_IMAGES = 10_000
LARGEST_SIZE = 8192  # pixels
LARGEST_SEED = 2**63 - 1
# What a model asks for that was distilled for a sampler, where its caller says nothing else.
DISTILLED: dict[str, dict[str, Any]] = {"lcm": {"sampler": "lcm", "grid": None, "num_inference_steps": 4}}


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of a call, with their defaults.

    prompt: one or several. image: a file or picture to start from. mask_image: white where `image` is to be redrawn.
    strength: 0 keeps `image`, 1 keeps what shines through the strongest noise, and behind a mask nothing; None is 0.75,
    or 1 for models made for inpainting. height, width: pixels, multiples of 8; by default those of `image`, or of the
    pictures that the model was trained on. guidance_scale: 1 is none. guidance_rescale: 0 is none. guidance_start,
    guidance_end: the shares of the steps between which they are steered; the others cost half, and change little
    (Kynkaanniemi et al. 2024). sampler, grid: names in safelight.SAMPLERS and safelight.GRIDS; a grid of None is the
    sampler's own. seed: of the first picture, the next have seed + 1 and so on; None draws one. num_images: for each
    prompt. latents: unit-variance start noise (n, c, h / 8, w / 8), instead of what the seeds give.

    What only some models take: depth_map, lighter where things are nearer. semantic_map, a grey picture of the labels'
    numbers. class_label: a class's number. boxes: labelled places. noise_level: of the noise that hides the faults of
    a picture to be enlarged, or widens the meaning of one to be varied. image_guidance_scale: how closely a changed
    picture follows `image`; 1 is none. control_image: one picture for each ControlNet that was added.
    """

    prompt: str | Sequence[str]
    negative_prompt: str = ""
    image: str | os.PathLike[str] | Image.Image | None = None
    mask_image: str | os.PathLike[str] | Image.Image | None = None
    strength: float | None = None
    height: int | None = None
    width: int | None = None
    num_inference_steps: int = 25
    guidance_scale: float = 7.5
    guidance_rescale: float = 0.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    sampler: str = "dpmpp_2m"
    grid: str | None = "karras"
    seed: int | None = None
    num_images: int = 1
    latents: Tensor | None = None
    depth_map: str | os.PathLike[str] | Image.Image | None = None
    semantic_map: str | os.PathLike[str] | Image.Image | None = None
    class_label: int | None = None
    boxes: Sequence[Box] | None = None
    noise_level: int | None = None
    image_guidance_scale: float = 1.5
    control_image: str | os.PathLike[str] | Image.Image | Sequence[str | os.PathLike[str] | Image.Image] | None = None

    @classmethod
    def of(cls, prompt: str | Sequence[str], options: dict[str, Any]) -> Request:
        """A request from the arguments of a call; raises BadInput for a name that is none, with the nearest one."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise unknown_name("argument", name, known)
        return cls(prompt=prompt, **{name: plain_number(value) for name, value in options.items()})

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str | list | tuple):
            raise BadInput(f"prompt must be text or a list of texts, got {type(self.prompt).__name__}.")
        if not self.prompts:
            raise BadInput("prompt is an empty list; give at least one text.")
        for prompt in self.prompts:
            check_text("prompt", prompt)
        check_text("negative_prompt", self.negative_prompt)
        check_text("sampler", self.sampler)
        if self.grid is not None:
            check_text("grid", self.grid)
        for name in ("height", "width"):
            size = getattr(self, name)
            if size is not None:
                check_size(name, size)
        whole_number("num_inference_steps", self.num_inference_steps, 1, MOST_STEPS)
        whole_number("num_images", self.num_images, 1, MOST_IMAGES)
        if self.seed is not None:
            whole_number("seed", self.seed, 0, LARGEST_SEED)
        for name in ("class_label", "noise_level"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name), 0, 100_000)
        if self.strength is not None:
            finite("strength", self.strength, 0, 1)
        finite("guidance_scale", self.guidance_scale, 0, 1000)
        finite("guidance_rescale", self.guidance_rescale, 0, 1)
        finite("guidance_start", self.guidance_start, 0, 1)
        finite("guidance_end", self.guidance_end, 0, 1)
        finite("image_guidance_scale", self.image_guidance_scale, 0, 1000)
        if self.guidance_start > self.guidance_end and self.guidance_scale != 1:
            raise BadInput(
                f"guidance_start is {self.guidance_start:g} and guidance_end {self.guidance_end:g}; guidance lies "
                "between the two, so the end must not come first (what is not given is the model's own)."
            )
        if self.mask_image is not None and self.image is None:
            raise BadInput("mask_image was given without image; a mask says which part of a picture is to be redrawn.")

    @property
    def prompts(self) -> list[str]:
        """The prompts as a list."""
        return [self.prompt] if isinstance(self.prompt, str) else list(self.prompt)

    @property
    def control_images(self) -> list[str | os.PathLike[str] | Image.Image]:
        """The pictures for ControlNets as a list."""
        given = self.control_image
        if given is None:
            return []
        return [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)

    @property
    def picture_prompts(self) -> list[str]:
        """The prompt of each picture."""
        return [prompt for prompt in self.prompts for _ in range(self.num_images)]


def plain_number(value: Any) -> Any:
    """Python's own number for one of NumPy's; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def check_text(name: str, text: object) -> None:
    """Raise BadInput unless `text` is text that a file can hold."""
    if not isinstance(text, str):
        raise BadInput(f"{name} must be text, got {type(text).__name__} {text!r}.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadInput(f"{name} {text!r} holds bytes that are no UTF-8 text.")


def check_size(name: str, size: object, multiple: int = 8) -> None:
    """Raise BadInput unless `size` is one that latents and pixels share."""
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not whole or not multiple <= size <= LARGEST_SIZE or size % multiple:  # type: ignore[operator]
        raise BadInput(
            f"{name} is {size!r}; it must be a multiple of {multiple} from {multiple} to {LARGEST_SIZE} pixels."
        )
