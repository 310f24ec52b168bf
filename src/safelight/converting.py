"""From one form of a model, a part or an adapter to another, losing nothing.

A folder is always diffusers' layout (PEFT's for a LoRA); a .safetensors file the original one, or the style of an
adapter that was asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from safelight.adapters import (
    open_controlnet,
    open_embedding,
    open_lora,
    save_control_file,
    save_controlnet,
    save_embedding,
    save_lora,
)
from safelight.autoencoder import Autoencoder, TinyAutoencoder
from safelight.configs import Prediction
from safelight.errors import BadInput, unknown_name
from safelight.opening import ENDINGS, Averaging, Model, is_bundled, located, open_model
from safelight.paths import is_there
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder
from safelight.unet import UNet
from safelight.weights import (
    Parts,
    save_autoencoder,
    save_bert,
    save_folder,
    save_image_embedder,
    save_text_encoder,
    save_tiny_autoencoder,
    save_unet,
)
from safelight.weights.files import write_tensors
from safelight.weights.folder import LOADERS
from safelight.weights.formats import read_file
from safelight.weights.key_table import KeyTable
from safelight.weights.model_index import NAME
from safelight.weights.network_folder import CONFIG, class_of, pack_folder
from safelight.weights.original import original_autoencoder_keys, original_unet_keys
from safelight.weights.recognition import recognise
from safelight.weights.recognition.notes import write_part_notes
from safelight.weights.single_file import open_part, save_single_file
from safelight.weights.strict import foreign_tensors

FILE = ".safetensors"
LORA_STYLES = ("kohya", "diffusers", "peft")
EMBEDDING_STYLES = ("diffusers", "automatic1111", "plain")
ADAPTERS = ("lora", "embedding", "controlnet")
WHOLE = {"unet", "autoencoder"}  # a file with both is a model

SAVERS: Mapping[type[nn.Module], Callable[..., None]] = {
    UNet: save_unet,
    Autoencoder: save_autoencoder,
    TinyAutoencoder: save_tiny_autoencoder,
    TextEncoder: save_text_encoder,
    BertEncoder: save_bert,
    ImageEmbedder: save_image_embedder,
}
# Parts that stand alone in a file of the original layout: under which names.
ORIGINAL: Mapping[type[nn.Module], tuple[str, Callable[..., KeyTable]]] = {
    UNet: ("model.diffusion_model.", original_unet_keys),
    Autoencoder: ("", original_autoencoder_keys),
}


def convert(
    source: Model | None,
    out: Path | str,
    *,
    dtype: torch.dtype | None = None,
    style: str | None = None,
    variant: str | None = None,
    prediction: Prediction | None = None,
    weights: Averaging = "averaged",
    made_for: Model | None = None,
) -> str:
    """Write `source` (a model, a part or an adapter, anywhere) as `out`, and say what it was.

    dtype: None keeps the numbers as they are, to the bit; int8 packs the matrices of a folder, in its files alone.
    style: of an adapter's file. made_for: the model that a LoRA is for, whose layers it names; None is one of Stable
    Diffusion's make. The others are those of `opening.open_model`. Raises BadInput where
    `out` is taken or cannot say what `source` is, BadCheckpoint for a source that cannot be opened.
    """
    out = Path(out)
    check_free(out, dtype)
    what = _write_as(source, out, dtype, style, variant, prediction, weights, made_for)
    pack_where_asked(out, dtype)
    return what


def pack_where_asked(out: Path, dtype: torch.dtype | None) -> None:
    """The folder that was just written in eight bits, if that is the dtype; it is taken away again where that fails."""
    if dtype != torch.int8:
        return
    try:
        pack_folder(out)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def check_free(out: Path, dtype: torch.dtype | None) -> None:
    """Raise BadInput where `out` is taken, or cannot hold what is written in `dtype`."""
    if is_there(out):
        raise BadInput(f"{str(out)!r} is there already; name a new file ({FILE}) or folder.")
    if dtype == torch.int8 and out.suffix == FILE:
        raise BadInput(f"dtype is int8 and {str(out)!r} one file; eight bits are written in a folder.")


def check_ending(out: Path) -> None:
    """Raise BadInput for the name of a file that is never written: a folder called model.ckpt would surprise."""
    if out.suffix in ENDINGS and out.suffix != FILE:
        raise BadInput(
            f"{str(out)!r} ends in {out.suffix}; one file is written as OUT{FILE}, another name is a folder."
        )


def write_model(out: Path, parts: Parts) -> str:
    """Write a model as a folder, or as one file, as `out` is named; returns what was left out, in words, or ""."""
    if out.suffix != FILE:
        save_folder(out, parts)
        return ""
    save_single_file(out, parts)
    return ", without what it has beside it for few steps" if parts.few_steps or parts.tiny_decoder else ""


def in_memory(dtype: torch.dtype | None) -> torch.dtype | None:
    """Networks have no int8: they are packed in their files."""
    return None if dtype == torch.int8 else dtype


def _write_as(
    source: Model | None,
    out: Path,
    dtype: torch.dtype | None,
    style: str | None,
    variant: str | None,
    prediction: Prediction | None,
    weights: Averaging,
    made_for: Model | None,
) -> str:
    if not is_bundled(source) and source is not None:
        path = located(source, variant)
        kind = kind_of(path)
        if kind in ADAPTERS:
            return _convert_adapter(kind, path, out, dtype, style, made_for)
        if kind != "model":
            check_ending(out)
            return _convert_part(path, out, dtype, variant)
    check_ending(out)
    if style is not None:
        raise BadInput(f"style is {style!r}; only a LoRA or an embedding is written in a style.")
    parts, name = open_model(source, in_memory(dtype), variant=variant, prediction=prediction, weights=weights)
    return f"the model {name}{write_model(out, parts)}"


def kind_of(path: Path) -> str:
    """What lies there: "model", "part", "lora", "embedding" or "controlnet"; told by content."""
    if path.is_dir():
        if (path / NAME).is_file():
            return "model"
        if (path / CONFIG).is_file():
            return "controlnet" if class_of(path) == "ControlNetModel" else "part"
        return "lora" if any(path.rglob("adapter_model.*")) or any(path.glob("pytorch_lora_weights.*")) else "model"
    tensors = read_file(path).tensors
    kinds = {found.kind for found in recognise(tensors).found}
    if adapters := kinds & set(ADAPTERS):
        return adapters.pop()
    if not kinds and len(tensors) == 1 and all(tensor.ndim <= 2 for tensor in tensors.values()):
        return "embedding"  # its one name is the word, which may be any
    return "model" if kinds >= WHOLE or not kinds else "part"


def _convert_adapter(
    kind: str, path: Path, out: Path, dtype: torch.dtype | None, style: str | None, made_for: Model | None
) -> str:
    if kind == "controlnet":
        if style is not None:
            raise BadInput(f"style is {style!r}; a ControlNet is written as a folder or as one file ({FILE}).")
        network = open_controlnet(path, dtype=in_memory(dtype))
        (save_control_file if out.suffix == FILE else save_controlnet)(out, network)
        return f"the ControlNet {path.name}"
    if dtype is not None:
        raise BadInput(f"dtype is {dtype}; an adapter keeps its own numbers.")
    styles = LORA_STYLES if kind == "lora" else EMBEDDING_STYLES
    if style not in styles:
        if style is None:
            raise BadInput(
                f"{str(path)!r} is an adapter ({kind}): say with style= which form; allowed: {', '.join(styles)}."
            )
        raise unknown_name("style", style, styles)
    if kind == "lora":
        unet = None if made_for is None else open_model(made_for)[0].unet.config
        save_lora(out, open_lora(path, unet), style, unet)
        return f"the LoRA {path.name}"
    save_embedding(out, open_embedding(path), style)
    return f"the embedding {path.name}"


def _convert_part(path: Path, out: Path, dtype: torch.dtype | None, variant: str | None) -> str:
    if path.is_dir():
        kind = class_of(path)
        if kind not in LOADERS:
            raise unknown_name("class", kind, LOADERS)
        network: nn.Module = LOADERS[kind](path, in_memory(dtype), variant)
    else:
        network = open_part(path, in_memory(dtype))[1]
    name = type(network).__name__
    if out.suffix != FILE and type(network) in SAVERS:
        SAVERS[type(network)](out, network)
    elif out.suffix == FILE and type(network) in ORIGINAL:
        prefix, keys = ORIGINAL[type(network)]
        named = {prefix + key: tensor for key, tensor in foreign_tensors(network, keys(network.config)).items()}
        write_tensors(
            out, named, write_part_notes("unet" if isinstance(network, UNet) else "autoencoder", network.config)
        )
    else:
        form = "a file of its own" if out.suffix == FILE else "a folder of its own"
        raise BadInput(f"{str(path)!r} is a {name}, for which there is no layout with {form}.")
    return f"the {name} {path.name}"
