"""The forms of a diffusers folder: the same weights in files of other kinds and names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]
STEM_OF_BIN = {"model": "pytorch_model"}  # transformers' older name


def _shards(tensors: Tensors, write: Callable[[Tensors, Path], None], folder: Path, stem: str, ending: str) -> dict:
    """Three files, and what goes into their index."""
    names = list(tensors)
    places = {}
    for number in range(3):
        file = f"{stem}-0000{number + 1}-of-00003.{ending}"
        own = names[number::3]
        write({name: tensors[name] for name in own}, folder / file)
        places |= dict.fromkeys(own, file)
    return {"metadata": {"total_size": 0}, "weight_map": places}


def _safetensors(tensors: Tensors, file: Path) -> None:
    save_file(tensors, file, {"format": "pt"})


def _one_bin(tensors: Tensors, folder: Path, stem: str) -> None:
    torch.save(tensors, folder / f"{STEM_OF_BIN.get(stem, stem)}.bin")


def _sharded(tensors: Tensors, folder: Path, stem: str) -> None:
    index = _shards(tensors, _safetensors, folder, stem, "safetensors")
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def _sharded_bin(tensors: Tensors, folder: Path, stem: str) -> None:
    stem = STEM_OF_BIN.get(stem, stem)
    index = _shards(tensors, torch.save, folder, stem, "bin")
    (folder / f"{stem}.bin.index.json").write_text(json.dumps(index))


def _halved(tensors: Tensors) -> Tensors:
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _variant(tensors: Tensors, folder: Path, stem: str) -> None:
    _safetensors(_halved(tensors), folder / f"{stem}.fp16.safetensors")


def _sharded_variant(tensors: Tensors, folder: Path, stem: str) -> None:
    index = _shards(_halved(tensors), _safetensors, folder, f"{stem}.fp16", "safetensors")
    (folder / f"{stem}.safetensors.index.fp16.json").write_text(json.dumps(index))


# Form -> what writes a part's weights anew. Those of a variant are in half precision.
FOLDERS: dict[str, Callable[[Tensors, Path, str], None]] = {
    "bin": _one_bin,
    "shards": _sharded,
    "bin shards": _sharded_bin,
    "fp16": _variant,
    "fp16 shards": _sharded_variant,
}


def rewritten(folder: Path, form: str, out: Path) -> Path:
    """A copy of a folder whose weights are in another form, and in no other."""
    shutil.copytree(folder, out)
    for file in list(out.rglob("*.safetensors")):
        tensors = load_file(file)
        file.unlink()
        FOLDERS[form](tensors, file.parent, file.stem)
    return out
