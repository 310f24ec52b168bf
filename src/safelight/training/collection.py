"""Where training pictures come from: a folder, or WebDataset shards; both are read in place and in any order.

Nothing in a shard is executed or written to disk: members are read by their offset, pictures by Pillow, fields as JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from safelight.errors import BadInput

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VALIDATION_SHARE = 0.03  # of samples that do not name their split


@dataclass(frozen=True)
class Record:
    """One captioned picture; the picture's bytes are read when they are needed."""

    key: str
    captions: tuple[str, ...]
    fields: dict[str, Any]
    read: Callable[[], bytes]

    @property
    def split(self) -> str:
        """`train` or `val`: the field of that name, otherwise decided by a hash of the key."""
        if "split" in self.fields:
            return str(self.fields["split"])
        digest = hashlib.sha256(self.key.encode()).digest()
        return "val" if digest[0] / 256 < VALIDATION_SHARE else "train"

    def picture(self) -> Image.Image:
        """The picture as RGBA."""
        try:
            with Image.open(io.BytesIO(self.read())) as picture:
                return picture.convert("RGBA")
        except (OSError, ValueError) as error:
            raise BadInput(f"The picture of sample {self.key!r} cannot be read: {error}.") from error


def open_collection(path: Path, where: dict[str, Sequence[str]] | None = None) -> list[Record]:
    """All records under `path`: a folder of shards (*.tar), one shard, or a folder of pictures and captions.

    `where` keeps the records whose fields hold one of the named values, for example {"style": ["noto"]}.
    """
    if not path.exists():
        raise BadInput(f"The data path {str(path)!r} does not exist; give a folder of pictures or of .tar shards.")
    shards = [path] if path.suffix == ".tar" else sorted(path.glob("*.tar"))
    records = [record for shard in shards for record in _read_shard(shard)] if shards else _read_folder(path)
    for field, allowed in (where or {}).items():
        records = [record for record in records if record.fields.get(field) in allowed]
    if not records:
        raise BadInput(f"{str(path)!r} holds no captioned pictures that match {where or 'anything'}.")
    return records


def of_split(records: Sequence[Record], split: str) -> list[Record]:
    """The records of one split, `train` or `val`."""
    return [record for record in records if record.split == split]


def _read_shard(path: Path) -> list[Record]:
    pictures: dict[str, tuple[int, int]] = {}
    fields: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                name = PurePosixPath(member.name)
                key, suffix = str(name.with_suffix("")), name.suffix.lower()
                if not member.isfile():
                    continue
                if suffix in PICTURE_SUFFIXES:
                    pictures[key] = (member.offset_data, member.size)
                elif suffix in (".json", ".txt"):
                    stream = shard.extractfile(member)
                    if stream is not None:
                        fields[key] = _parse_fields(f"{path}:{member.name}", suffix, stream.read())
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"{str(path)!r} is not a readable tar shard: {error}.") from error
    return [
        Record(key, _captions(fields[key]), fields[key], _section_reader(path, *place))
        for key, place in pictures.items()
        if key in fields
    ]


def _section_reader(path: Path, offset: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return read


def _read_folder(path: Path) -> list[Record]:
    records = []
    for picture in sorted(path.rglob("*")):
        if picture.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        for suffix in (".json", ".txt"):
            companion = picture.with_suffix(suffix)
            if companion.exists():
                fields = _parse_fields(str(companion), suffix, companion.read_bytes())
                key = str(picture.relative_to(path).with_suffix(""))
                records.append(Record(key, _captions(fields), fields, picture.read_bytes))
                break
    return records


def _parse_fields(where: str, suffix: str, content: bytes) -> dict[str, Any]:
    try:
        text = content.decode()
        fields = (
            {"captions": [line for line in text.splitlines() if line.strip()]} if suffix == ".txt" else json.loads(text)
        )
    except ValueError as error:
        raise BadInput(f"{where!r} is not UTF-8 text or not valid JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise BadInput(f"{where!r} holds {type(fields).__name__}; captions come as a JSON object or as lines of text.")
    return fields


def _captions(fields: dict[str, Any]) -> tuple[str, ...]:
    captions = fields.get("captions", fields.get("caption", ""))
    return (captions,) if isinstance(captions, str) else tuple(str(caption) for caption in captions)
