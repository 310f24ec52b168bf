"""The recipe of a picture: every argument of the call that made it, carried inside its PNG.

Two text chunks hold it: `safelight`, complete, as JSON; and `parameters`, in the wording that other Stable Diffusion
programs read.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from PIL import Image

from safelight.errors import BadInput

CHUNK = "safelight"

# How the programs that read `parameters` call our samplers and grids.
SAMPLER_NAMES = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "pndm": "PNDM",
    "plms": "PLMS",
    "lms": "LMS",
    "heun": "Heun",
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "dpm2": "DPM2",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "unipc": "UniPC",
    "lcm": "LCM",
}
GRID_NAMES = {"karras": "Karras", "exponential": "Exponential"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one picture is made. Sizes in pixels; `image` and `mask` are SHA-256 digests of the pictures used."""

    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    num_inference_steps: int = 25
    guidance_scale: float = 7.5
    guidance_rescale: float = 0.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    sampler: str = "dpmpp_2m"
    grid: str | None = "karras"
    seed: int
    strength: float | None = None
    image: str | None = None
    mask: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)  # what else the model was shown, by the request's names
    own_latents: bool = False  # the start noise was given; the seed alone does not give this picture
    model: str = ""
    opened: dict[str, str] = field(default_factory=dict)  # how, by the arguments of `safelight.load`, beside its name
    fingerprint: str = ""
    dtype: str = "float32"
    version: str = ""

    def chunks(self) -> dict[str, str]:
        """The text chunks of the PNG, by name."""
        return {"parameters": self.parameters(), CHUNK: json.dumps(asdict(self), ensure_ascii=False)}

    def parameters(self) -> str:
        """The recipe as AUTOMATIC1111's web interface and the programs after it write and read it."""
        sampler = " ".join(
            filter(None, [SAMPLER_NAMES.get(self.sampler, self.sampler), GRID_NAMES.get(self.grid or "")])
        )
        settings = {
            "Steps": self.num_inference_steps,
            "Sampler": sampler,
            "CFG scale": f"{self.guidance_scale:g}",
            "Seed": self.seed,
            "Size": f"{self.width}x{self.height}",
            "Model hash": self.fingerprint[:10],
            "Model": json.dumps(self.model, ensure_ascii=False) if set(self.model) & set(",:\n") else self.model,
            "Denoising strength": None if self.strength is None else f"{self.strength:g}",
            "Version": f"Safelight {self.version}",
        }
        lines = [self.prompt]
        if self.negative_prompt:
            lines.append(f"Negative prompt: {self.negative_prompt}")
        lines.append(", ".join(f"{name}: {value}" for name, value in settings.items() if value not in (None, "")))
        return "\n".join(lines)


def read_recipe(picture: Image.Image, where: str) -> Recipe:
    """The recipe that a PNG carries; raises BadInput where it carries none or a damaged one."""
    text = picture.info.get(CHUNK)
    if not isinstance(text, str):
        raise BadInput(
            f"{where!r} carries no Safelight recipe: it was made by another program, or its text was removed."
        )
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The recipe in {where!r} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise BadInput(f"The recipe in {where!r} is damaged: it is no JSON object.")
    known = {each.name: each for each in fields(Recipe)}
    if strange := sorted(found.keys() - known):
        raise BadInput(f"The recipe in {where!r} has fields that this version does not know: {', '.join(strange)}.")
    if missing := [
        name
        for name, each in known.items()
        if each.default is MISSING and each.default_factory is MISSING and name not in found
    ]:
        raise BadInput(f"The recipe in {where!r} is damaged: it has no {', '.join(missing)}.")
    for name, kind in get_type_hints(Recipe).items():
        kind = get_origin(kind) if get_origin(kind) is dict else kind
        whole_too = kind | int if float in (kind, *get_args(kind)) else kind
        if name in found and not isinstance(found[name], whole_too):
            raise BadInput(f"The recipe in {where!r} is damaged: {name} is {found[name]!r}.")
    recipe = Recipe(**found)
    for table in ("inputs", "opened"):
        for name, value in getattr(recipe, table).items():
            if not isinstance(value, str):
                raise BadInput(f"The recipe in {where!r} is damaged: {table}.{name} is {value!r}.")
    return recipe


def whole_number(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise BadInput unless `value` is a whole number in that range."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise BadInput(f"{name} is {value!r}; it must be a whole number from {lowest} to {highest}.")


def finite(name: str, value: object, lowest: float, highest: float) -> None:
    """Raise BadInput unless `value` is a number in that range."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not lowest <= value <= highest:  # type: ignore[operator]
        raise BadInput(f"{name} is {value!r}; it must be a number from {lowest:g} to {highest:g}.")
