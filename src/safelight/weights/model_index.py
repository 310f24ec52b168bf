"""model_index.json: which parts a folder in the diffusers layout has, and which class wrote each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safelight.autoencoder import Pixels
from safelight.configs import TaskName
from safelight.errors import BadCheckpoint
from safelight.weights.fields import Fields
from safelight.weights.parts import Parts

NAME = "model_index.json"

# Each sub-folder that we read: the slot of Parts that it fills, and the classes that may have written it. A scheduler
# may be of any class. VQ autoencoders lie in `vqvae`, the paper's text encoder in `bert`.
FOLDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tokenizer": ("tokenizer", ("CLIPTokenizer", "CLIPTokenizerFast", "BertTokenizer", "BertTokenizerFast")),
    "text_encoder": ("text_encoder", ("CLIPTextModel", "CLIPTextModelWithProjection")),
    "bert": ("text_encoder", ("LDMBertModel",)),
    "unet": ("unet", ("UNet2DConditionModel", "UNet2DModel")),
    "vae": ("autoencoder", ("AutoencoderKL", "AutoencoderTiny", "VQModel")),
    "vqvae": ("autoencoder", ("AutoencoderKL", "VQModel")),
    "scheduler": ("schedule", ()),
    "low_res_scheduler": ("noise_schedule", ()),
    "image_noising_scheduler": ("noise_schedule", ()),
    "image_encoder": ("image_encoder", ("CLIPVisionModelWithProjection",)),
    "image_normalizer": ("embedding_statistics", ("StableUnCLIPImageNormalizer",)),
    # Ours: diffusers has no pipeline for the models that have them.
    "class_embedder": ("class_embedder", ("ClassEmbedder",)),
    "rescaler": ("rescaler", ("Rescaler",)),
}
# Where a class lives that is not in diffusers' own top: a library, or the folder of one of its pipelines.
LIBRARIES = {
    "BertTokenizer": "transformers",
    "CLIPTextModel": "transformers",
    "CLIPTokenizer": "transformers",
    "CLIPVisionModelWithProjection": "transformers",
    "ClassEmbedder": "safelight",
    "LDMBertModel": "latent_diffusion",
    "Rescaler": "safelight",
    "StableUnCLIPImageNormalizer": "stable_diffusion",
}
# Parts that a folder may have and that make no picture.
UNUSED = {"safety_checker", "feature_extractor", "depth_estimator", "watermarker"}
VERSION = "0.30.0"  # of diffusers, whose layout this is; its inpainting pipeline opens nothing without one
BY_SCHEDULE = ("schedule", "noise_schedule")

OURS = "DiffusionPipeline"  # what diffusers has no pipeline for
# The pipeline of diffusers that draws what each task draws. Where it has none, any reader of parts will do.
PIPELINES: dict[TaskName, str] = {
    "text": "StableDiffusionPipeline",
    "inpainting": "StableDiffusionInpaintPipeline",
    "depth": "StableDiffusionDepth2ImgPipeline",
    "instruction": "StableDiffusionInstructPix2PixPipeline",
    "upscaling": "StableDiffusionUpscalePipeline",
    "variation": "StableUnCLIPImg2ImgPipeline",
    "unconditional": "LDMPipeline",
    "restoration": "LDMSuperResolutionPipeline",
}
NO_AUTOENCODER = {"vae": [None, None]}  # how a model that reads text says that it draws the pixels themselves
SAFETY = ("text", "inpainting", "instruction", "upscaling")  # pipelines that ask for a safety checker


def read_model_index(fields: Fields) -> dict[str, tuple[str, str]]:
    """Slot of Parts -> (sub-folder, class); raises BadCheckpoint for a model that is not made of parts that we have."""
    named = {name: value for name, value in fields.values.items() if isinstance(value, list) and any(value)}
    if "image_normalizer" not in named:
        named.pop("image_encoder", None)  # an adapter's, or a safety checker's: this model draws without it
    if unknown := sorted(named.keys() - FOLDERS.keys() - UNUSED):
        raise BadCheckpoint(
            f"{fields.source!r} is a {fields.values.get('_class_name')} with {', '.join(unknown)}; allowed parts: "
            f"{', '.join([*FOLDERS, *sorted(UNUSED)])}."
        )
    found: dict[str, tuple[str, str]] = {}
    for name, (slot, classes) in FOLDERS.items():
        if name not in named:
            continue
        if classes and named[name][-1] not in classes:
            raise fields.wrong(name, f"allowed classes: {', '.join(classes)}")
        if slot in found:
            raise BadCheckpoint(
                f"{fields.source!r} names both {found[slot][0]} and {name}; only one of them can be used."
            )
        found[slot] = (name, str(named[name][-1]))
    _check_complete(fields, found)
    return found


def _check_complete(fields: Fields, found: Mapping[str, tuple[str, str]]) -> None:
    needed = {"unet": "unet", "schedule": "scheduler"}
    if "tokenizer" in found:
        needed["text_encoder"] = "text_encoder or bert"
    elif found.get("text_encoder", ("", ""))[0] == "text_encoder":
        needed["tokenizer"] = "tokenizer"
    if ("tokenizer" in found or "text_encoder" in found) and not NO_AUTOENCODER.items() <= fields.values.items():
        needed["autoencoder"] = "vae or vqvae"
    if missing := [name for slot, name in needed.items() if slot not in found]:
        raise BadCheckpoint(f"{fields.source!r} names no {', '.join(missing)}; a model like this needs it.")


def write_model_index(parts: Parts, written: Mapping[str, str]) -> dict[str, Any]:
    """The model_index.json of a folder whose sub-folders `written` gives with their classes."""
    task = parts.task
    index: dict[str, Any] = {"_class_name": PIPELINES.get(task, OURS), "_diffusers_version": VERSION}
    if task == "text" and "bert" in written:
        index["_class_name"] = "LDMTextToImagePipeline"
    if task == "unconditional" and "vqvae" not in written:
        index["_class_name"] = "DDPMPipeline"
    if parts.text_encoder is not None and isinstance(parts.autoencoder, Pixels):
        index |= {"_class_name": OURS, **NO_AUTOENCODER}
    elif task in SAFETY and "bert" not in written:
        index |= {"feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False}
    for name, kind in sorted(written.items()):
        index[name] = [LIBRARIES.get(kind, "diffusers"), kind]
    return index
