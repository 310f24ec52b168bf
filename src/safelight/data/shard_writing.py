"""Writes a WebDataset shard: for each sample a WebP and a JSON file of the same key."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

QUALITY = 90  # of WebP; alpha is kept without loss


@dataclass(frozen=True)
class NewSample:
    """A picture as the bytes of a WebP file, and what is to be known of it; `fields` has its captions."""

    key: str
    content: bytes
    fields: Mapping[str, Any]


def write_shard(path: Path, samples: Iterable[NewSample]) -> None:
    """Write the samples in turn, as `read_shard` reads them; the same samples give the same bytes."""
    with tarfile.open(path, "w") as shard:
        for sample in samples:
            _add(shard, f"{sample.key}.webp", sample.content)
            _add(shard, f"{sample.key}.json", json.dumps(dict(sample.fields), ensure_ascii=False).encode())


def webp(picture: Image.Image) -> bytes:
    """A picture, RGB or RGBA, as the bytes of a WebP file."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # of the year 1970, and nobody's, so that nothing depends on who writes it when
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
