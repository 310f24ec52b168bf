"""What a single file that we wrote says of itself, in the metadata of safetensors.

Shapes do not tell everything (heads, the scale of the latents, a vocabulary of its own). Notes fill that in, but never
overrule shapes: a note that does not fit them is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    ImageEncoderConfig,
    RescalerConfig,
    ScheduleConfig,
    TextEncoderConfig,
    UNetConfig,
)
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import Tokenizer
from safelight.weights.parts import Parts
from safelight.weights.recognition.prediction import METADATA
from safelight.weights.schedule_config import DISTILLED
from safelight.weights.usual import known_arguments

KEY = "safelight"
CONFIGS: dict[str, type] = {
    config.__name__: config
    for config in (
        UNetConfig,
        AutoencoderConfig,
        TextEncoderConfig,
        BertConfig,
        ImageEncoderConfig,
        ClassEmbedderConfig,
        RescalerConfig,
        ScheduleConfig,
    )
}
SLOTS = ("unet", "autoencoder", "text_encoder", "class_embedder", "rescaler", "image_encoder")
LAWS = ("schedule", "noise_schedule")
CLIP_TOKENS = 49408  # a vocabulary of this size is CLIP's own, and need not be in the file


@dataclass(frozen=True)
class Notes:
    """What was said: configs, slot of Parts -> configuration; the others as in Parts."""

    configs: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None
    sampler: str | None = None
    usual: Mapping[str, Any] = field(default_factory=dict)


def write_notes(parts: Parts) -> dict[str, str]:
    """The metadata of a file with these parts."""
    configs = {slot: getattr(parts, slot).config for slot in SLOTS if getattr(parts, slot) is not None}
    configs |= {slot: getattr(parts, slot) for slot in LAWS if getattr(parts, slot) is not None}
    said: dict[str, Any] = {slot: {"is": type(config).__name__, **asdict(config)} for slot, config in configs.items()}
    tokenizer = parts.tokenizer
    if isinstance(tokenizer, Tokenizer) and len(tokenizer.vocabulary) != CLIP_TOKENS:
        said["tokenizer"] = {
            "vocabulary": tokenizer.vocabulary,
            "merges": [list(merge) for merge in tokenizer.merges],
            "length": tokenizer.length,
            "pad": tokenizer.pad,
        }
    if parts.sampler is not None:
        said["sampler"] = parts.sampler
    if parts.usual:
        said["usual"] = dict(parts.usual)
    return {KEY: json.dumps(said, ensure_ascii=False), METADATA: parts.schedule.prediction}


def write_part_notes(slot: str, config: Any) -> dict[str, str]:
    """The metadata of a file with the one part that fills a slot of Parts."""
    return {KEY: json.dumps({slot: {"is": type(config).__name__, **asdict(config)}})}


def read_notes(metadata: Mapping[str, str]) -> Notes:
    """What a file's metadata says; raises BadCheckpoint for a note that cannot be read."""
    if KEY not in metadata:
        return Notes()
    try:
        said = json.loads(metadata[KEY])
        tokenizer, sampler = said.pop("tokenizer", None), said.pop("sampler", None)
        if sampler not in (None, *DISTILLED):
            raise BadInput(f"sampler is {sampler!r}; known: {', '.join(DISTILLED)}")
        usual = known_arguments(KEY, said.pop("usual", {}))
        configs = {slot: _config(said[slot]) for slot in (*SLOTS, *LAWS) if slot in said}
        return Notes(configs, None if tokenizer is None else _tokenizer(tokenizer), sampler, usual)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadInput) as error:
        raise BadCheckpoint(f"The metadata {KEY!r} of the file cannot be read: {error}.") from error


def _config(said: dict[str, Any]) -> Any:
    config = CONFIGS[said.pop("is")]
    known = {entry.name: entry for entry in fields(config)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    for name, value in values.items():
        default = known[name].default
        if type(default) is not type(value) and not (isinstance(default, float) and type(value) is int):
            raise BadInput(f"{config.__name__}.{name} is {value!r}; it must be a {type(default).__name__}")
    return config(**values)


def _tokenizer(said: dict[str, Any]) -> Tokenizer:
    merges = [(first, second) for first, second in said["merges"]]
    return Tokenizer(said["vocabulary"], merges, length=int(said["length"]), pad=said["pad"])
