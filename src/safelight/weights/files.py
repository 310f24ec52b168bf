"""Files of weights and of settings: read with care, written beside their place and then renamed.

A folder may hold its weights as safetensors or as PyTorch's .bin, in one file or in shards with an index; `formats/`
opens each file, and its tensors stay on disk until they are used.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.fields import Fields
from safelight.weights.formats import read_file

# What .bin files are called beside safetensors of another name: transformers kept its old one.
STEM_OF_BIN = {"model": "pytorch_model"}


def read_weights(folder: Path, stem: str, variant: str | None = None) -> tuple[Path, dict[str, Tensor]]:
    """The weights that a folder holds under `stem`, in one file or in shards, and the file that names them.

    Safetensors come before .bin files. variant: "fp16" reads `stem.fp16.safetensors`. Raises BadCheckpoint.
    """
    suffix = f".{variant}" if variant else ""
    for name, ending in ((stem, "safetensors"), (STEM_OF_BIN.get(stem, stem), "bin")):
        one_file = folder / f"{name}{suffix}.{ending}"
        if one_file.is_file():
            return one_file, read_file(one_file).tensors
        index = folder / f"{name}.{ending}.index{suffix}.json"
        if index.is_file():
            return index, _read_shards(index, ending)
    wanted = folder / f"{stem}{suffix}.safetensors"
    raise BadCheckpoint(f"{str(wanted)!r} is missing. {_what_is_there(folder, stem)}")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all; raises BadInput where the disk refuses."""
    with beside(path) as partial:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, partial, metadata={"format": "pt", **(metadata or {})})


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
        raise BadInput(f"{str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _read_shards(index: Path, ending: str) -> dict[str, Tensor]:
    places = Fields.read(index).inner("weight_map").values
    shards: dict[str, dict[str, Tensor]] = {}
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(f".{ending}"):
            raise BadCheckpoint(f"{str(index)!r}: weight_map puts {name!r} in {file!r}; allowed: *.{ending} beside it.")
        if file not in shards:
            shards[file] = read_file(index.with_name(file)).tensors
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
    stems = "|".join(map(re.escape, {stem, STEM_OF_BIN.get(stem, stem)}))
    pattern = re.compile(rf"(?:{stems})\.(?:(?:safetensors|bin)\.index\.)?(\w+)\.(?:safetensors|bin|json)")
    variants = sorted({match[1] for name in names if (match := pattern.fullmatch(name))} - {"index"})
    if variants:
        return f"Another variant is there; pass variant= one of: {', '.join(variants)}."
    return f"The folder holds: {', '.join(names[:20]) or 'nothing'}."
