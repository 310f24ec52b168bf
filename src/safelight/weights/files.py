"""Files of weights and of settings: read with care, written beside their place and then renamed.

Only safetensors files are opened; their tensors stay on disk until they are used.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.fields import Fields

PICKLES = (".bin", ".ckpt", ".pt", ".pth")


def read_weights(folder: Path, stem: str, variant: str | None = None) -> tuple[Path, dict[str, Tensor]]:
    """The weights that a folder holds under `stem`, in one file or in shards, and the file that names them.

    variant: "fp16" reads `stem.fp16.safetensors`. Raises BadCheckpoint.
    """
    suffix = f".{variant}" if variant else ""
    one_file = folder / f"{stem}{suffix}.safetensors"
    index = folder / f"{stem}.safetensors.index{suffix}.json"
    if one_file.is_file():
        return one_file, read_tensors(one_file)
    if index.is_file():
        return index, _read_shards(index)
    raise BadCheckpoint(f"{str(one_file)!r} is missing. {_what_is_there(folder, stem)}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, mapped from disk; raises BadCheckpoint for a damaged file."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise BadCheckpoint(f"{str(path)!r} is no whole safetensors file: {error}.") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all; raises BadInput where the disk refuses."""
    with beside(path) as partial:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, partial, metadata={"format": "pt"})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all; raises BadInput where the disk refuses."""
    with beside(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n", "utf-8")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file to write next to `path`; once written it is flushed to disk and takes the name."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # what the user's umask allows; safetensors' own files are private
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{str(path)!r} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def as_dtype(tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Floating-point tensors in `dtype`; None keeps what the file has."""
    if dtype is None:
        return dict(tensors)
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _read_shards(index: Path) -> dict[str, Tensor]:
    places = Fields.read(index).inner("weight_map").values
    shards: dict[str, dict[str, Tensor]] = {}
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise BadCheckpoint(
                f"{str(index)!r}: weight_map puts {name!r} in {file!r}; allowed: *.safetensors beside it."
            )
        if file not in shards:
            shards[file] = read_tensors(index.with_name(file))
        if name not in shards[file]:
            raise BadCheckpoint(f"{str(index)!r}: weight_map says that {file!r} holds {name!r}; it does not.")
    # A tensor that the index forgets is still there, and counts: whether it belongs is for the loader to say.
    merged: dict[str, Tensor] = {}
    for file, tensors in shards.items():
        for name in merged.keys() & tensors.keys():
            raise BadCheckpoint(f"{str(index)!r}: {name!r} is in {file!r} and in another shard as well.")
        merged.update(tensors)
    return merged


def _what_is_there(folder: Path, stem: str) -> str:
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    pattern = re.compile(rf"{re.escape(stem)}\.(?:safetensors\.index\.)?(\w+)\.(?:safetensors|json)")
    variants = sorted({match[1] for name in names if (match := pattern.fullmatch(name))} - {"index"})
    pickles = [name for name in names if name.endswith(PICKLES)]
    if variants:
        return f"Another variant is there; pass variant= one of: {', '.join(variants)}."
    if pickles:
        return f"There is {', '.join(pickles)}, a pickle, which is not opened: convert it to safetensors first."
    return f"The folder holds: {', '.join(names[:20]) or 'nothing'}."
