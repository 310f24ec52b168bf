"""A whole model as a folder in the layout of a diffusers pipeline: Stable Diffusion's, and its family's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from safelight.autoencoder import Autoencoder, Pixels, TinyAutoencoder, WithTinyDecoder
from safelight.errors import BadCheckpoint
from safelight.text import BertEncoder, BertTokenizer, Tokenizer
from safelight.weights.autoencoder import load_autoencoder, save_autoencoder
from safelight.weights.bert import load_bert, save_bert
from safelight.weights.clip import load_image_embedder, load_text_encoder, save_image_embedder, save_text_encoder
from safelight.weights.conditioners import (
    load_class_embedder,
    load_embedding_statistics,
    load_rescaler,
    save_class_embedder,
    save_embedding_statistics,
    save_rescaler,
)
from safelight.weights.fields import Fields
from safelight.weights.files import write_json
from safelight.weights.fit import check_fit
from safelight.weights.model_index import BY_SCHEDULE, NAME, read_model_index, write_model_index
from safelight.weights.parts import Parts
from safelight.weights.schedule import load_schedule, save_noise_schedule, save_schedule
from safelight.weights.schedule_config import CLASS as SCHEDULER
from safelight.weights.schedule_config import DISTILLED
from safelight.weights.tiny_autoencoder import load_tiny_autoencoder, save_tiny_autoencoder, save_tiny_decoder
from safelight.weights.unet import load_unet, save_unet
from safelight.weights.usual import USUAL, known_arguments
from safelight.weights.whole_folder import whole_folder

__all__ = ["FEW_STEPS", "TINY_DECODER", "Parts", "open_folder", "save_folder"]

FAST = Path("fast")  # in a model's folder: what it draws in few steps with; diffusers passes it by
FEW_STEPS = FAST / "pytorch_lora_weights.safetensors"
TINY_DECODER = FAST / "taesd_decoder.safetensors"
Load = Callable[[Path, torch.dtype | None, str | None], Any]

# The class that wrote a sub-folder -> what opens it.
LOADERS: dict[str, Load] = {
    "AutoencoderKL": load_autoencoder,
    "AutoencoderTiny": load_tiny_autoencoder,
    "BertTokenizer": lambda folder, dtype, variant: BertTokenizer.load(folder),
    "BertTokenizerFast": lambda folder, dtype, variant: BertTokenizer.load(folder),
    "CLIPTextModel": load_text_encoder,
    "CLIPTextModelWithProjection": load_text_encoder,
    "CLIPTokenizer": lambda folder, dtype, variant: Tokenizer.load(folder),
    "CLIPTokenizerFast": lambda folder, dtype, variant: Tokenizer.load(folder),
    "CLIPVisionModelWithProjection": load_image_embedder,
    "ClassEmbedder": load_class_embedder,
    "LDMBertModel": load_bert,
    "Rescaler": load_rescaler,
    "StableUnCLIPImageNormalizer": load_embedding_statistics,
    "UNet2DConditionModel": load_unet,
    "UNet2DModel": load_unet,
    "VQModel": load_autoencoder,
}


def open_folder(path: Path | str, dtype: torch.dtype | None = None, variant: str | None = None) -> Parts:
    """Every part of the model in a folder.

    dtype: None keeps the files'. variant: "fp16" reads the files of that name. Raises BadCheckpoint that says all that
    is wrong with all parts; no part is returned then.
    """
    path = Path(path)
    if not path.is_dir():
        raise BadCheckpoint(f"{str(path)!r} is no folder; a model in this layout is a folder with {NAME}.")
    loaded: dict[str, Any] = {}
    faults: list[str] = []
    for slot, (folder, kind) in read_model_index(Fields.read(path / NAME)).items():
        try:
            if slot in BY_SCHEDULE:
                loaded[slot] = load_schedule(path / folder)
                if slot == "schedule":
                    loaded["sampler"] = next((name for name, written in DISTILLED.items() if written == kind), None)
            else:
                loaded[slot] = LOADERS[kind](path / folder, dtype, variant)
        except BadCheckpoint as error:
            faults.append(str(error))
    if faults:
        raise BadCheckpoint("\n".join(faults))
    here = path.absolute()  # they are opened later, perhaps from another folder
    beside = {"few_steps": here / FEW_STEPS, "tiny_decoder": here / TINY_DECODER}
    loaded |= {slot: file for slot, file in beside.items() if file.is_file()}
    usual = Fields.read(path / USUAL).values if (path / USUAL).is_file() else {}
    parts = Parts(**{"autoencoder": Pixels(), **loaded}, usual=known_arguments(str(path / USUAL), usual))
    check_fit(parts, repr(str(path)))
    return parts


def save_folder(path: Path | str, parts: Parts) -> None:
    """Write a model that diffusers' pipelines open, whole or not at all.

    A tiny decoder that stands in for a large one is written into `fast`, where `safelight.load(fast=True)` finds it,
    and the large one is the model's. Raises BadInput where the parts do not fit together or cannot be said in this
    layout, where the disk refuses, and for a folder that holds something else.
    """
    check_fit(parts)
    beside = (FAST.name, USUAL)  # of a model that lay there before, which they would not suit
    with whole_folder(Path(path), mark=NAME, stale=beside) as partial:
        written = {}
        for folder, (kind, save) in _savers(parts).items():
            save(partial / folder)
            written[folder] = kind
        _save_fast(partial, parts)
        if parts.usual:
            write_json(partial / USUAL, dict(parts.usual))
        write_json(partial / NAME, write_model_index(parts, written))


Save = Callable[[Path], object]


def _save_fast(folder: Path, parts: Parts) -> None:
    """Write what the model draws in few steps with, if there is any."""
    savers: dict[Path, Save] = {}
    lora, tiny, autoencoder = parts.few_steps, parts.tiny_decoder, parts.autoencoder
    if lora is not None:
        savers[FEW_STEPS] = lambda file: shutil.copyfile(lora, file)
    if isinstance(autoencoder, WithTinyDecoder):
        savers[TINY_DECODER] = lambda file: save_tiny_decoder(file, autoencoder.decoder)
    elif isinstance(autoencoder, Autoencoder) and tiny is not None:
        savers[TINY_DECODER] = lambda file: shutil.copyfile(tiny, file)
    for name, save in savers.items():
        (folder / FAST).mkdir(exist_ok=True)
        save(folder / name)


def _savers(parts: Parts) -> dict[str, tuple[str, Save]]:
    """Sub-folder -> (the class that reads it, what writes it), for the parts that there are."""
    unet, autoencoder, text, tokenizer = parts.unet, parts.autoencoder, parts.text_encoder, parts.tokenizer
    if isinstance(autoencoder, WithTinyDecoder):
        autoencoder = autoencoder.autoencoder
    kind = "UNet2DConditionModel" if unet.config.reads_context else "UNet2DModel"
    scheduler = SCHEDULER if parts.sampler is None else DISTILLED[parts.sampler]
    savers: dict[str, tuple[str, Save]] = {
        "unet": (kind, lambda folder: save_unet(folder, unet)),
        "scheduler": (scheduler, lambda folder: save_schedule(folder, parts.schedule, parts.sampler)),
    }
    if isinstance(autoencoder, TinyAutoencoder):
        savers["vae"] = ("AutoencoderTiny", lambda folder: save_tiny_autoencoder(folder, autoencoder))
    elif isinstance(autoencoder, Autoencoder):
        older = isinstance(text, BertEncoder) or text is None
        kind = "VQModel" if autoencoder.config.codes else "AutoencoderKL"
        savers["vqvae" if older else "vae"] = (kind, lambda folder: save_autoencoder(folder, autoencoder))
    if tokenizer is not None:
        reader = "BertTokenizer" if isinstance(tokenizer, BertTokenizer) else "CLIPTokenizer"
        savers["tokenizer"] = (reader, tokenizer.save)
    if isinstance(text, BertEncoder):
        savers["bert"] = ("LDMBertModel", lambda folder: save_bert(folder, text))
    elif text is not None:
        savers["text_encoder"] = ("CLIPTextModel", lambda folder: save_text_encoder(folder, text))
    return savers | _other_savers(parts)


def _other_savers(parts: Parts) -> dict[str, tuple[str, Save]]:
    """Of what is shown beside text."""
    savers: dict[str, tuple[str, Save]] = {}
    if (classes := parts.class_embedder) is not None:
        savers["class_embedder"] = ("ClassEmbedder", lambda folder: save_class_embedder(folder, classes))
    if (rescaler := parts.rescaler) is not None:
        savers["rescaler"] = ("Rescaler", lambda folder: save_rescaler(folder, rescaler))
    if (images := parts.image_encoder) is not None:
        savers["image_encoder"] = (
            "CLIPVisionModelWithProjection",
            lambda folder: save_image_embedder(folder, images),
        )
    if (statistics := parts.embedding_statistics) is not None:
        savers["image_normalizer"] = (
            "StableUnCLIPImageNormalizer",
            lambda folder: save_embedding_statistics(folder, statistics),
        )
    if (schedule := parts.noise_schedule) is not None:
        name = "low_res_scheduler" if parts.image_encoder is None else "image_noising_scheduler"
        savers[name] = ("DDPMScheduler", lambda folder: save_noise_schedule(folder, schedule))
    return savers
