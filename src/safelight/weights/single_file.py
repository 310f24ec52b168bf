"""A whole model in one file, as the original repositories and their users publish it; and single parts in a file.

The file may be safetensors or a pickle, whatever it is called. What it holds is recognised by its tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safelight.autoencoder import Autoencoder
from safelight.configs import Prediction, ScheduleConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import TextEncoder
from safelight.unet import UNet
from safelight.weights.files import write_tensors
from safelight.weights.fit import check_fit
from safelight.weights.formats import read_file
from safelight.weights.original.layout import SCALE, noise_prefix, original_tensors
from safelight.weights.original.noise_law import read_law
from safelight.weights.parts import AnyAutoencoder, AnyTextEncoder, AnyTokenizer, Parts
from safelight.weights.recognition.contents import Contents, Found, recognise
from safelight.weights.recognition.forms import Kind
from safelight.weights.recognition.matching import alike
from safelight.weights.recognition.notes import Notes, read_notes, write_notes
from safelight.weights.recognition.opening import Weights, open_found
from safelight.weights.recognition.prediction import probed_prediction, told_prediction
from safelight.weights.recognition.wholeness import check_whole
from safelight.weights.vocabularies import tokenizer_for

ENDING = ".safetensors"
SAME_SCALE = 1e-3  # of half precision
ZERO_TERMINAL_SNR = "ztsnr"  # the name of an empty tensor by which a fine-tuned model says so


@dataclass(frozen=True, kw_only=True)
class Given:
    """Parts that the caller brings; each takes the place of the file's own."""

    tokenizer: AnyTokenizer | None = None
    text_encoder: AnyTextEncoder | None = None
    autoencoder: AnyAutoencoder | None = None
    unet: UNet | None = None
    image_encoder: Any = None
    embedding_statistics: Any = None

    def slots(self) -> dict[str, Any]:
        """Those that there are, by the slot of Parts that they fill."""
        return {name: part for name, part in vars(self).items() if part is not None}


def open_single_file(
    path: Path | str,
    dtype: torch.dtype | None = None,
    *,
    prediction: Prediction | None = None,
    weights: Weights = "averaged",
    given: Given | None = None,
) -> Parts:
    """The model in a file.

    dtype: None keeps the file's. prediction: overrules what the file is taken to predict. weights: "averaged" takes the
    moving averages that training files have beside the "raw" weights. given: parts to use instead of the file's.
    Raises BadCheckpoint that lists what is missing, extra or misshapen in all parts; no part is returned then.
    """
    path, slots = Path(path), (given or Given()).slots()
    file = read_file(path)
    tensors, notes = file.tensors, read_notes(file.metadata)
    contents = noted(recognise(tensors), notes, path)
    check_whole(contents, path, slots.keys())
    told = prediction or told_prediction(contents, tensors, file.metadata)
    laws = _laws(contents, tensors, notes)
    scale = float(tensors[SCALE]) if SCALE in tensors and tensors[SCALE].numel() == 1 else None
    loaded = _networks(contents, path, tensors, dtype, weights, slots)
    text = loaded.get("text_encoder")
    if "tokenizer" not in loaded:
        loaded["tokenizer"] = notes.tokenizer or tokenizer_for(text, path)
    told = told or probed_prediction(loaded["unet"], text if isinstance(text, TextEncoder) else None)
    if told is None:
        raise BadCheckpoint(
            f"{str(path)!r}: whether its UNet predicts epsilon or v cannot be told from its weights; pass prediction= "
            "(--prediction)."
        )
    _settle(loaded, contents, notes, told, scale)
    parts = Parts(**loaded, **laws, sampler=notes.sampler, usual=notes.usual)
    parts.schedule = replace(parts.schedule, prediction=told)
    check_fit(parts, repr(str(path)))
    return parts


def save_single_file(path: Path | str, parts: Parts) -> None:
    """Write a model as one safetensors file in the original layout, whole or not at all.

    What shapes do not tell goes into the file's metadata. Raises BadInput for parts that this layout does not have,
    another ending of the name, and where the disk refuses.
    """
    path = Path(path)
    if path.suffix != ENDING:
        raise BadInput(f"{str(path)!r} ends in {path.suffix!r}; a single file is written as {ENDING}.")
    check_fit(parts)
    write_tensors(path, original_tensors(parts), write_notes(parts))


def open_part(path: Path | str, dtype: torch.dtype | None = None, kind: Kind | None = None) -> tuple[Kind, nn.Module]:
    """One network of a file in any layout, and its kind: the only one that it holds, or the one of `kind`.

    Raises BadCheckpoint where there is none, or more than one to choose from.
    """
    path = Path(path)
    file = read_file(path)
    contents = noted(recognise(file.tensors), read_notes(file.metadata), path)
    found = [part for part in contents.found if part.form is not None and kind in (None, part.kind)]
    if len(found) != 1:
        names = ", ".join(part.kind for part in contents.found) or contents.foreign or "nothing that is known"
        wanted = kind or "one network"
        raise BadCheckpoint(f"{str(path)!r} holds {names}; needed: {wanted}, once.")
    if kind is None and contents.unknown:
        raise BadCheckpoint(f"{str(path)!r} holds tensors that belong to no part: {_some(contents.unknown)}.")
    return found[0].kind, open_found(found[0], path, file.tensors, dtype)


def noted(contents: Contents, notes: Notes, path: Path) -> Contents:
    """The contents with the configurations that the file notes; raises BadCheckpoint for a note that shapes deny."""

    def settled(part: Found) -> Found:
        config = notes.configs.get(part.kind)
        if config is None or part.config is None:
            return part
        if not alike(config, part.config):
            raise BadCheckpoint(f"{str(path)!r}: its metadata describes another {part.kind} than its tensors are.")
        return replace(part, config=config)

    return replace(contents, found=tuple(settled(part) for part in contents.found))


def _networks(
    contents: Contents,
    path: Path,
    tensors: dict[str, Tensor],
    dtype: torch.dtype | None,
    weights: Weights,
    slots: dict[str, Any],
) -> dict[str, Any]:
    loaded, faults = dict(slots), []
    for part in contents.found:
        if part.kind in loaded or part.form is None:  # a ControlNet may lie beside a model
            continue
        try:
            loaded[part.kind] = open_found(part, path, tensors, dtype, weights)
        except BadCheckpoint as error:
            faults.append(str(error))
    if faults:
        raise BadCheckpoint("\n".join(faults))
    return loaded


def _laws(contents: Contents, tensors: dict[str, Tensor], notes: Notes) -> dict[str, Any]:
    """The noise law of the latents, and that of what the UNet is shown where there is one."""
    unet = contents.part("unet")
    shown = noise_prefix(unet.config.class_vector if unet is not None else 0)
    laws: dict[str, ScheduleConfig] = {}
    for slot, prefix in (("schedule", ""), ("noise_schedule", shown)):
        published = [law for row in contents.models if (law := getattr(row, slot)) is not None]
        likely = [*([notes.configs[slot]] if slot in notes.configs else []), *published]
        law = read_law(tensors, prefix, likely) or next(iter(likely), None)
        if slot == "schedule" and ZERO_TERMINAL_SNR in tensors:  # said later than the buffers of the law
            law = replace(law or ScheduleConfig(), zero_terminal_snr=True)
        if law is not None:
            laws[slot] = law
    return {"schedule": ScheduleConfig(), **laws}


def _settle(
    loaded: dict[str, Any], contents: Contents, notes: Notes, prediction: Prediction, scale: float | None
) -> None:
    """What is known only now: the size that the UNet was trained at, and the scale of the latents."""
    unet, autoencoder = loaded["unet"], loaded["autoencoder"]
    rows = [row for row in contents.models if row.schedule.prediction == prediction]
    if rows and "unet" not in notes.configs:
        unet.config = replace(unet.config, sample_size=rows[0].unet.sample_size)
    if isinstance(autoencoder, Autoencoder) and scale is not None and "autoencoder" not in notes.configs:
        known = autoencoder.config.scale
        if abs(scale - known) > SAME_SCALE * known:
            autoencoder.config = replace(autoencoder.config, scale=scale)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:40]) + (f", and {len(names) - 40} more" if len(names) > 40 else "")
