"""Where training pictures come from: a folder, or WebDataset shards; both are read in place and in any order.

Nothing in a shard is executed or written to disk: members are read by their offset, pictures by Pillow, fields as JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, ImageOps

from safelight.errors import BadInput

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FIELD_SUFFIXES = (".txt", ".json")
LARGEST_FIELDS = 2**20  # bytes of one sample's captions and fields
VALIDATION_SHARE = 0.03  # of samples that do not name their split
LISTED = 10  # values that a message spells out


@dataclass(frozen=True)
class Record:
    """One picture and what is known of it; the picture's bytes are read when they are needed."""

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
        """The picture as RGBA, upright; raises BadInput, naming the sample, where it is damaged."""
        try:
            with Image.open(io.BytesIO(self.read())) as picture:
                return ImageOps.exif_transpose(picture).convert("RGBA")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadInput(f"The picture of sample {self.key!r} cannot be read: {error}.") from error


def open_collection(path: Path, where: Mapping[str, Sequence[str]] | None = None) -> list[Record]:
    """All records under `path`: a folder of shards (*.tar), one shard, or a folder of pictures and captions.

    `where` keeps the records whose fields hold one of the named values, for example {"style": ["noto"]}.
    """
    if not path.exists():
        raise BadInput(f"The data path {str(path)!r} does not exist; give a folder of pictures or of .tar shards.")
    shards = [path] if path.is_file() else sorted(path.glob("*.tar"))
    records = [record for shard in shards for record in _read_shard(shard)] if shards else _read_folder(path)
    if not records:
        raise BadInput(f"{str(path)!r} holds no pictures; {', '.join(PICTURE_SUFFIXES)} files or .tar shards are read.")
    for field, allowed in (where or {}).items():
        values = sorted({str(record.fields.get(field)) for record in records})
        records = [record for record in records if str(record.fields.get(field)) in allowed]
        if not records:
            known = ", ".join(values[:LISTED]) + (", ..." if len(values) > LISTED else "")
            raise BadInput(f"No sample in {str(path)!r} has {field} in {list(allowed)}; its values there are: {known}.")
    return records


def split_up(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The training records and the held-out ones, of which there may be none; raises BadInput without the former."""
    training = [record for record in records if record.split == "train"]
    if not training:
        splits = ", ".join(sorted({record.split for record in records})[:LISTED])
        raise BadInput(f"None of the {len(records)} samples is for training; their split is {splits}, not train.")
    return training, [record for record in records if record.split == "val"]


def fingerprint(records: Sequence[Record]) -> str:
    """A hash of the records' keys and their order, which tells this collection from others."""
    return hashlib.sha256("\n".join(record.key for record in records).encode("utf-8", "replace")).hexdigest()


def check_captions(records: Sequence[Record]) -> None:
    """Raise BadInput that names the first record without a caption, if there is one."""
    silent = [record.key for record in records if not record.captions]
    if silent:
        raise BadInput(
            f"{len(silent)} of {len(records)} samples have no caption, the first is {silent[0]!r}; "
            f"write one into a .txt or .json file beside its picture."
        )


def _read_shard(path: Path) -> list[Record]:
    pictures: dict[str, tuple[int, int]] = {}
    fields: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if not member.isreg() or member.issparse():
                    continue
                key, dot, ending = str(PurePosixPath(member.name)).rpartition(".")
                suffix = f"{dot}{ending.lower()}"
                if suffix in PICTURE_SUFFIXES:
                    pictures[key] = (member.offset_data, member.size)
                elif suffix in FIELD_SUFFIXES:
                    content = _section_reader(path, member.offset_data, member.size)
                    fields[key] = _merged(fields.get(key, {}), _parse(f"{path}:{member.name}", member.size, content))
            _check_end(path, shard.offset)
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"{str(path)!r} is not a readable, uncompressed tar shard: {error}.") from error
    return [
        Record(key, _captions(key, fields.get(key, {})), fields.get(key, {}), _section_reader(path, *place))
        for key, place in pictures.items()
    ]


def _check_end(path: Path, offset: int) -> None:
    """Raise OSError where members end at `offset` for damage: `tarfile` takes a header it cannot read for the end."""
    after = _section_reader(path, offset, tarfile.BLOCKSIZE)()
    if after and after != bytes(tarfile.BLOCKSIZE):
        raise OSError(f"the header at byte {offset} is damaged or cut short")


def _section_reader(path: Path, offset: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return read


def _read_folder(path: Path) -> list[Record]:
    records = []
    for picture in sorted(path.rglob("*")):
        if picture.suffix.lower() not in PICTURE_SUFFIXES or not picture.is_file():
            continue
        fields: dict[str, Any] = {}
        for companion in _companions(picture):
            fields = _merged(fields, _parse(str(companion), companion.stat().st_size, companion.read_bytes))
        key = str(PurePosixPath(picture.relative_to(path).with_suffix("")))
        records.append(Record(key, _captions(key, fields), fields, picture.read_bytes))
    return records


def _companions(picture: Path) -> Iterator[Path]:
    for suffix in FIELD_SUFFIXES:
        companion = picture.with_suffix(suffix)
        if companion.is_file():
            yield companion


def _parse(where: str, size: int, read: Callable[[], bytes]) -> dict[str, Any]:
    """The fields of one .txt file (a caption a line) or .json file (an object)."""
    if size > LARGEST_FIELDS:
        raise BadInput(f"{where!r} has {size} bytes; captions and fields of one sample may have {LARGEST_FIELDS}.")
    try:
        text = read().decode("utf-8-sig")
        fields = {"captions": text.splitlines()} if where.lower().endswith(".txt") else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{where!r} cannot be read as UTF-8 text or as JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise BadInput(f"{where!r} holds {type(fields).__name__}; captions come as a JSON object or as lines of text.")
    return fields


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The fields of a sample that has both a .txt and a .json file; the captions of either count, in any order."""
    captions = [*_listed(one), *_listed(other)]
    return {**one, **other, "captions": captions} if captions else {**one, **other}


def _listed(fields: dict[str, Any]) -> list[Any]:
    captions = fields.get("captions") or fields.get("caption") or []
    return captions if isinstance(captions, list) else [captions]


def _captions(key: str, fields: dict[str, Any]) -> tuple[str, ...]:
    """The captions that say something, each once."""
    captions = _listed(fields)
    for caption in captions:
        if not isinstance(caption, str):
            raise BadInput(f"Sample {key!r} has the caption {caption!r}; captions must be text.")
    return tuple(dict.fromkeys(caption.strip() for caption in captions if caption.strip()))
