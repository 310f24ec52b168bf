"""Where training pictures come from: a folder, a list, or WebDataset shards; all are read in place and in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from safelight.data.decoding import PICTURE_SUFFIXES
from safelight.data.fingerprint import content_hash, fingerprint
from safelight.data.folder import read_folder
from safelight.data.record import BadSample, Record
from safelight.data.shards import read_shard, spelled_out
from safelight.data.table import TABLE_SUFFIXES, read_table
from safelight.errors import BadInput

Each = TypeVar("Each")

LISTED = 10  # values that a message spells out

__all__ = [
    "BadSample",
    "Record",
    "check_captions",
    "content_hash",
    "fingerprint",
    "is_one_of",
    "open_collection",
    "some_of",
    "split_up",
]


def open_collection(path: Path, where: Mapping[str, Sequence[str]] | None = None) -> list[Record]:
    """All records under `path`: a folder of pictures or of shards (*.tar), one shard, or a list (.csv, .jsonl ...).

    Several are divided by commas, or given by a pattern in braces: `shard-{000..003}.tar`. `where` keeps the records
    whose fields hold one of the named values, for example {"style": ["noto"]}. Raises BadInput where nothing is found,
    or something is damaged.
    """
    places = [path] if path.exists() else list(spelled_out(path))
    for place in places:
        if not place.exists():
            raise BadInput(
                f"The data path {str(place)!r} does not exist; give a folder of pictures or of .tar shards, a shard, "
                f"or a list ({', '.join(TABLE_SUFFIXES)})."
            )
    records = [record for place in places for record in _read(place)]
    if not records:
        raise BadInput(f"{str(path)!r} holds no pictures; {', '.join(PICTURE_SUFFIXES)} files or .tar shards are read.")
    for field, allowed in (where or {}).items():
        values = sorted({str(record.fields.get(field)) for record in records})
        records = [record for record in records if is_one_of(record, {field: allowed})]
        if not records:
            known = ", ".join(values[:LISTED]) + (", ..." if len(values) > LISTED else "")
            raise BadInput(f"No sample in {str(path)!r} has {field} in {list(allowed)}; its values there are: {known}.")
    return records


def _read(path: Path) -> list[Record]:
    if path.is_dir():
        if shards := sorted(path.glob("*.tar")):
            check_shards_alone(path, shards)
            return [record for shard in shards for record in read_shard(shard)]
        lists = sorted(path.rglob("*.parquet"))  # of pictures, where there are no files of them
        return read_folder(path) or [record for one in lists for record in read_table(one).values()]
    if path.suffix.lower() in TABLE_SUFFIXES:
        return list(read_table(path).values())
    return read_shard(path)


def check_shards_alone(folder: Path, shards: Sequence[Path]) -> None:
    """Raise BadInput for a folder in which pictures lie beside shards: it is not clear what is meant."""
    picture = next((file for file in sorted(folder.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES), None)
    if picture is not None:
        raise BadInput(
            f"{str(folder)!r} holds shards ({shards[0].name}) and pictures ({picture.name}); put the shards into "
            f"a folder of their own, or name them: {folder / shards[0].name}."
        )


def is_one_of(record: Record, where: Mapping[str, Sequence[str]]) -> bool:
    """Whether each of the named fields of a record holds one of the values that it may have."""
    return all(str(record.fields.get(field)) in allowed for field, allowed in where.items())


def split_up(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The training records and the held-out ones, of which there may be none; raises BadInput without the former."""
    training = [record for record in records if record.split == "train"]
    if not training:
        splits = ", ".join(sorted({record.split for record in records})[:LISTED])
        raise BadInput(f"None of the {len(records)} samples is for training; their split is {splits}, not train.")
    return training, [record for record in records if record.split == "val"]


def some_of(records: Sequence[Each], count: int) -> list[Each]:
    """So many at most, always the same, drawn by lot: a collection is often sorted, and its first are of one kind."""
    if len(records) <= count:
        return list(records)
    chosen = set(Random(0).sample(range(len(records)), count))
    return [record for place, record in enumerate(records) if place in chosen]


def check_captions(records: Sequence[Record]) -> None:
    """Raise BadInput that names the first record without a caption, if there is one."""
    silent = [record.key for record in records if not record.captions]
    if silent:
        raise BadInput(
            f"{len(silent)} of {len(records)} samples have no caption, the first is {silent[0]!r}; "
            f"write one into a .txt or .json file beside its picture."
        )
