"""A folder of pictures; captions lie in a companion of each one's name, or in one file for a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from safelight.data.companions import with_companions
from safelight.data.decoding import PICTURE_SUFFIXES
from safelight.data.fields import FIELD_SUFFIXES, captions_of, merged, parse
from safelight.data.record import Record, keys
from safelight.data.table import TABLE_SUFFIXES, OnDisk, read_table
from safelight.errors import BadInput

CAPTION_FILES = tuple(f"{stem}{suffix}" for stem in ("captions", "metadata") for suffix in TABLE_SUFFIXES)


def read_folder(path: Path) -> list[Record]:
    """All pictures under `path`, in the order of their names; hidden files and folders are passed over."""
    files = sorted(_files(path))
    listed = _listed(path, files)
    names = set(files)
    belonging = {read.path for row in listed.values() for read in row.others.values() if isinstance(read, OnDisk)}
    pictures = [
        name
        for name in files
        if name.suffix.lower() in PICTURE_SUFFIXES and (str(name) in listed or path / name not in belonging)
    ]
    records: list[Record] = []
    for name, key in zip(pictures, keys(map(str, pictures)), strict=True):
        fields: dict[str, Any] = {}
        for beside in (name.with_suffix(suffix) for suffix in FIELD_SUFFIXES):
            if beside in names:
                companion = path / beside
                fields = merged(fields, parse(str(companion), companion.stat().st_size, companion.read_bytes))
        row = listed.pop(str(name), None)
        if row is not None:
            fields = merged(fields, row.fields)
        others = row.others if row is not None else {}
        records.append(Record(key, captions_of(key, fields), fields, (path / name).read_bytes, others))
    return [*with_companions(records), *listed.values()]


def _files(path: Path) -> Iterator[PurePosixPath]:
    for folder, folders, files in os.walk(path, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(path))
        yield from (here / name for name in files if not name.startswith(".") and (path / here / name).is_file())


def _unreadable(error: OSError) -> None:
    raise BadInput(f"The folder {error.filename!r} cannot be read: {error.strerror}.") from error


def _listed(path: Path, files: list[PurePosixPath]) -> dict[str, Record]:
    """The name of a picture -> what the file of captions in its folder, or above, says of it."""
    pictures = {str(name.with_suffix("")) for name in files if name.suffix.lower() in PICTURE_SUFFIXES}
    found: dict[PurePosixPath, str] = {}
    rows: dict[str, Record] = {}
    for name in files:
        if name.name not in CAPTION_FILES or str(name.with_suffix("")) in pictures:
            continue
        if name.parent in found:
            folder = str(path / name.parent)
            raise BadInput(f"{folder!r} holds both {found[name.parent]!r} and {name.name!r}; keep one of them.")
        found[name.parent] = name.name
        for picture, record in read_table(path / name).items():
            rows[str(name.parent / picture)] = replace(record, key=str(name.parent / record.key))
    return rows
