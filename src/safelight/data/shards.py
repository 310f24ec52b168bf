"""WebDataset shards: tar files whose members of one name and several endings are one sample.

Read in place and in any order, by the offset of each member: exact shuffling and resuming need that, and a reader that
streams cannot give it. Nothing in a shard is run or written: pictures go to Pillow, fields to JSON, and members of all
other kinds (links, .pyd, .pickle, .py ...) are passed over.
"""

from __future__ import annotations

import itertools
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from safelight.data.companions import with_companions
from safelight.data.decoding import PICTURE_SUFFIXES
from safelight.data.fields import FIELD_SUFFIXES, captions_of, merged, parse
from safelight.data.record import Record
from safelight.errors import BadInput

BRACES = re.compile(r"\{([^{}]*)\}")
COMMA = re.compile(r",(?![^{}]*\})")  # outside braces
RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass
class _Sample:
    """What is known of one sample while its shard is read."""

    key: str
    members: set[str] = field(default_factory=set)
    fields: dict[str, Any] = field(default_factory=dict)
    picture: Callable[[], bytes] | None = None


def read_shard(path: Path) -> list[Record]:
    """The samples of one shard that have a picture; raises BadInput where it is damaged, or squeezed."""
    try:
        with tarfile.open(path, "r:") as shard:
            samples = _samples(shard, path)
            _check_end(path, shard.offset)
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"{str(path)!r} is not a readable, uncompressed tar shard: {error}.") from error
    return with_companions(
        [
            Record(sample.key, captions_of(sample.key, sample.fields), sample.fields, sample.picture)
            for sample in samples
            if sample.picture is not None
        ]
    )


def _samples(shard: tarfile.TarFile, path: Path) -> list[_Sample]:
    """Samples in the order of their first members; a name that comes a second time begins another sample."""
    samples: list[_Sample] = []
    latest: dict[str, _Sample] = {}
    for member in shard:
        name = PurePosixPath(member.name)
        suffix = name.suffix.lower()
        if not member.isreg() or member.issparse() or name.name.startswith("."):
            continue
        if suffix not in PICTURE_SUFFIXES and suffix not in FIELD_SUFFIXES:
            continue
        key = str(name.with_suffix(""))
        sample = latest.get(key)
        if sample is None or name.name in sample.members:
            sample = latest[key] = _Sample(key)
            samples.append(sample)
        sample.members.add(name.name)
        content = _section_reader(path, member.offset_data, member.size)
        if suffix in FIELD_SUFFIXES:
            sample.fields = merged(sample.fields, parse(f"{path}:{member.name}", member.size, _reader(shard, member)))
        elif sample.picture is None:
            sample.picture = content
    return samples


def _reader(shard: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        content = shard.extractfile(member)
        return content.read() if content else b""

    return read


def _section_reader(path: Path, offset: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return read


def _check_end(path: Path, offset: int) -> None:
    """Raise OSError where members end at `offset` for damage: `tarfile` takes a header it cannot read for the end."""
    after = _section_reader(path, offset, tarfile.BLOCKSIZE)()
    if after and after != bytes(tarfile.BLOCKSIZE):
        raise OSError(f"the header at byte {offset} is damaged or cut short")


def spelled_out(path: Path) -> Iterator[Path]:
    """The paths that a pattern stands for: `a-{000..003}.tar` for four, `{a,b}.tar` for two, and `a,b.tar` for two."""
    for pattern in filter(None, COMMA.split(str(path))):
        parts = BRACES.split(pattern)  # text and braces' contents in turn
        choices = [list(_choices(part)) if place % 2 else [part] for place, part in enumerate(parts)]
        yield from (Path("".join(chosen)) for chosen in itertools.product(*choices))


def _choices(content: str) -> Iterator[str]:
    if bounds := RANGE.fullmatch(content):
        first, last = bounds.groups()
        yield from (f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1))
    else:
        yield from content.split(",")
