"""model_index.json: which parts a folder in the diffusers layout has, and which class opens each."""

from __future__ import annotations

from typing import Any

from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint
from safelight.weights.fields import Fields

NAME = "model_index.json"

# Each sub-folder that we read, and the classes that may have written it; any scheduler will do.
CLASSES: dict[str, tuple[str, ...]] = {
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "scheduler": (),
}
# Parts that a folder may have and that make no picture.
UNUSED = {"safety_checker", "feature_extractor", "image_encoder", "depth_estimator", "watermarker"}

# How many channels the UNet takes beside the latent's own 4 tells what else it is shown.
PIPELINES = {4: "StableDiffusionInstructPix2PixPipeline", 5: "StableDiffusionInpaintPipeline"}


def check_model_index(fields: Fields) -> None:
    """Raise BadCheckpoint for a model that is not made of the parts of Stable Diffusion."""
    parts = {name: value for name, value in fields.values.items() if isinstance(value, list) and any(value)}
    if missing := sorted(CLASSES.keys() - parts.keys()):
        raise BadCheckpoint(f"{fields.source!r} names no {', '.join(missing)}; needed: {', '.join(CLASSES)}.")
    if unknown := sorted(parts.keys() - CLASSES.keys() - UNUSED):
        raise BadCheckpoint(
            f"{fields.source!r} is a {fields.values.get('_class_name')} with {', '.join(unknown)}; allowed parts: "
            f"{', '.join([*CLASSES, *sorted(UNUSED)])}."
        )
    for name, allowed in CLASSES.items():
        if allowed and parts[name][-1] not in allowed:
            raise fields.wrong(name, f"allowed classes: {', '.join(allowed)}")


def write_model_index(unet: UNetConfig, scheduler: str) -> dict[str, Any]:
    """The model_index.json of a folder whose five parts are ours."""
    return {
        "_class_name": PIPELINES.get(unet.in_channels - unet.out_channels, "StableDiffusionPipeline"),
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
