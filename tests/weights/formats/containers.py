"""Ways to put a pickle into a file, as PyTorch does and as an attacker would."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from safelight.weights.formats.legacy_file import MAGIC, VERSION

FACTS = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def zipped(path: Path, code: bytes, records: Mapping[str, bytes] | None = None) -> Path:
    """An archive of that pickle; records: further entries, such as "data/0"."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": code, "byteorder": sys.byteorder.encode(), **(records or {})}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def legacy(path: Path, code: bytes, records: Mapping[str, bytes] | None = None) -> Path:
    """A file of the time before archives; records: the count and the numbers of each storage."""
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, VERSION, FACTS))
    path.write_bytes(head + code + pickle.dumps(list(records or {}), 2) + b"".join((records or {}).values()))
    return path


def bare(path: Path, code: bytes) -> Path:
    path.write_bytes(code)
    return path


CONTAINERS: dict[str, Callable[[Path, bytes], Path]] = {"zip": zipped, "legacy": legacy, "bare": bare}
