"""A list of pictures: .csv, .tsv, .jsonl, .parquet, or .txt with a name, a tab and a caption a line.

One column names the picture, relative to the list; `captions`, `caption` or `text` say what is on it; a column of a
companion's name (`control`, `mask` ...) names that picture; every other column is a field. Several lines about one
picture are one sample with several captions.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safelight.data.fields import LARGEST_FIELDS, captions_of, merged
from safelight.data.parquet import parquet_rows
from safelight.data.record import COMPANIONS, Record, keys
from safelight.errors import BadInput

Row = dict[str, Any]
PICTURE_COLUMNS = ("file_name", "file", "filename", "image", "image_path", "path", "picture")


@dataclass(frozen=True)
class OnDisk:
    """The bytes of a file, read when they are asked for."""

    path: Path

    def __call__(self) -> bytes:
        return self.path.read_bytes()


def read_table(path: Path) -> dict[str, Record]:
    """The name of each picture, relative to the list's folder -> its record; raises BadInput naming file and line.

    Whether a picture is there is seen when it is read. A name that leads out of the list's folder is refused: a list
    from somewhere else should not be able to show what lies elsewhere on a disk.
    """
    records: dict[str, Record] = {}
    try:
        for number, row in enumerate(READERS[path.suffix.lower()](path), start=1):
            record = _record(path, f"{str(path)!r}, sample {number}", number, row)
            before = records.get(record.key)
            if before is not None:
                fields = merged(before.fields, record.fields)
                others = {**before.others, **record.others}
                captions = captions_of(record.key, fields)
                record = replace(record, captions=captions, fields=fields, others=others)
            records[record.key] = record
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{str(path)!r} cannot be read as a {path.suffix.lower()} list: {error}.") from error
    return {name: replace(record, key=key) for (name, record), key in zip(records.items(), keys(records), strict=True)}


def _record(path: Path, where: str, number: int, row: Row) -> Record:
    column = next((name for name in PICTURE_COLUMNS if row.get(name)), None)
    if column is None:
        has = ", ".join(map(str, row)) or "none"
        raise BadInput(f"{where}: no column names the picture; it has {has}, and may be {', '.join(PICTURE_COLUMNS)}.")
    picture = row[column]
    if callable(picture):  # the picture lies in the list
        name, read = f"{path.stem}-{number:06}", picture
    else:
        name = _inside(path, where, picture)
        read = OnDisk(path.parent / name)
    others = {role: _file(path, where, row[role]) for role in COMPANIONS if row.get(role)}
    fields = {name: value for name, value in row.items() if name != column and name not in COMPANIONS}
    return Record(name, captions_of(name, fields), fields, read, others)


def _file(path: Path, where: str, value: Any) -> Callable[[], bytes]:
    return value if callable(value) else OnDisk(path.parent / _inside(path, where, value))


def _inside(path: Path, where: str, value: Any) -> str:
    """The name of a picture relative to the folder of the list, if that is where it lies."""
    if not isinstance(value, str):
        raise BadInput(f"{where}: {value!r} names no picture; give a file relative to the list.")
    folder = Path(os.path.normpath(path.parent.absolute()))
    file = Path(os.path.normpath(folder / value))
    if folder not in file.parents or "\0" in value:
        raise BadInput(f"{where}: {value!r} lies outside the list's folder; pictures of a list lie in or below it.")
    return file.relative_to(folder).as_posix()


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _delimited(path, csv.DictReader(file, delimiter=","))


def _tsv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _delimited(path, csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _delimited(path: Path, reader: csv.DictReader[str]) -> Iterator[Row]:
    for row in reader:
        if None in row or None in row.values():
            raise BadInput(
                f"{str(path)!r}, line {reader.line_num}: it has not as many cells as the first line, which is "
                f"{', '.join(reader.fieldnames or [])}; a caption with a comma stands in quotes."
            )
        yield row


def _text_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            name, tab, caption = line.rstrip("\r\n").partition("\t")
            if not tab:
                raise BadInput(f"{str(path)!r}, line {number}: {line[:60]!r} is not a name, a tab and a caption.")
            yield {"file": name.strip(), "captions": [caption]}


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if len(line) > LARGEST_FIELDS:
                raise BadInput(f"{str(path)!r}, line {number}: it is {len(line)} long; {LARGEST_FIELDS} are allowed.")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadInput(f"{str(path)!r}, line {number}: it is not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise BadInput(f"{str(path)!r}, line {number}: it holds {type(row).__name__}, not a JSON object.")
            yield row


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".txt": _text_rows,
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
    ".jsonl": _json_rows,
    ".parquet": lambda path: parquet_rows(path, (*PICTURE_COLUMNS, *COMPANIONS)),
}
TABLE_SUFFIXES = tuple(READERS)
