"""Opening a file of tensors of whatever format, and the one place where its faults become errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from safelight.errors import BadCheckpoint
from safelight.weights.formats.content import HEAD, Format, format_of
from safelight.weights.formats.eight_bits import unpack_rows
from safelight.weights.formats.faults import Damaged, Refused
from safelight.weights.formats.legacy_file import read_legacy
from safelight.weights.formats.mapped import MappedFile
from safelight.weights.formats.safetensors_file import read_safetensors
from safelight.weights.formats.storages import StoredNumbers
from safelight.weights.formats.tree import named_tensors, plain_tree
from safelight.weights.formats.zip_file import read_zip

PICKLED: dict[Format, Callable[[MappedFile], tuple[object, StoredNumbers]]] = {
    Format.ZIP: read_zip,
    Format.LEGACY: read_legacy,
}


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a file holds.

    tensors: by name, in the file's order, on disk until they are used; those in eight bits are unpacked in memory.
    metadata: of a safetensors file. other: what else a pickle holds, in a few words for each name; none of it was run.
    """

    path: Path
    format: Format
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    other: dict[str, str]


def read_file(path: Path | str) -> TensorFile:
    """The named tensors of a file, its format told by its content.

    In a pickle, what Lightning wrapped up as "state_dict" is unwrapped, and dictionaries in dictionaries become dotted
    names. Raises BadCheckpoint that names the file and what is wrong with it or was refused.
    """
    path = Path(path)
    with _named_faults(path):
        file, found = _open(path)
        if found is Format.SAFETENSORS:
            tensors, metadata = read_safetensors(file)
            return TensorFile(path=path, format=found, tensors=unpack_rows(tensors), metadata=metadata, other={})
        tree, numbers = PICKLED[found](file)
        tensors, other = named_tensors(tree, numbers.tensor)
        return TensorFile(path=path, format=found, tensors=tensors, metadata={}, other=other)


def read_tree(path: Path | str) -> Any:
    """The structure of a small file as dictionaries, lists, tensors, texts and numbers; raises BadCheckpoint."""
    path = Path(path)
    with _named_faults(path):
        file, found = _open(path)
        if found is Format.SAFETENSORS:
            return read_safetensors(file)[0]
        tree, numbers = PICKLED[found](file)
        return plain_tree(tree, numbers.tensor)


def _open(path: Path) -> tuple[MappedFile, Format]:
    if not path.is_file():  # nor a pipe, which would be waited for
        raise FileNotFoundError("it is a folder" if path.is_dir() else "there is no such file")
    if path.stat().st_size == 0:
        raise Damaged("it is empty")
    file = MappedFile(path)
    return file, format_of(file.bytes[:HEAD], file.size)


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    expected = "safetensors file" if path.suffix == ".safetensors" else "file of weights"
    try:
        yield
    except Refused as error:
        raise BadCheckpoint(f"{str(path)!r} is refused: it {error}. Nothing in it was run.") from error
    except Damaged as error:
        raise BadCheckpoint(f"{str(path)!r} is no whole {expected}: {error}.") from error
    except OSError as error:
        raise BadCheckpoint(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
