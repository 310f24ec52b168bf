"""A collection to train on: coloured shapes with captions, as a folder or as a shard."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from safelight.data.collection import Record

SIDE = 32
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 220), "black": (10, 10, 10)}
SHAPES = ("circle", "square", "bar", "cross")


def draw(colour: str, shape: str, backdrop: str = "white") -> Image.Image:
    """One shape; the backdrop "none" is a transparent one."""
    picture = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0) if backdrop == "none" else backdrop)
    pen = ImageDraw.Draw(picture)
    boxes = {
        "circle": [(6, 6, 25, 25)],
        "square": [(8, 8, 23, 23)],
        "bar": [(4, 13, 27, 18)],
        "cross": [(13, 4, 18, 27), (4, 13, 27, 18)],
    }
    for box in boxes[shape]:
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=(*COLOURS[colour], 255))
    return picture


def png(picture: Image.Image) -> bytes:
    """The picture as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def samples(backdrop: str = "white") -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Name -> PNG and fields, of all 16 shapes; the last two are held out."""
    found = {}
    for colour in COLOURS:
        for shape in SHAPES:
            split = "val" if (colour, shape) in (("black", "bar"), ("black", "cross")) else "train"
            fields = {"captions": [f"a {colour} {shape}"], "concept": shape, "split": split, "style": "drawing"}
            found[f"{colour}-{shape}"] = (png(draw(colour, shape, backdrop)), fields)
    return found


def records(backdrop: str = "white") -> list[Record]:
    """The same as records."""
    return [
        Record(name, tuple(fields["captions"]), fields, lambda picture=picture: picture)
        for name, (picture, fields) in samples(backdrop).items()
    ]


def write_folder(folder: Path, backdrop: str = "white") -> Path:
    """All samples as pictures with .json companions."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (picture, fields) in samples(backdrop).items():
        (folder / f"{name}.png").write_bytes(picture)
        (folder / f"{name}.json").write_text(json.dumps(fields), "utf-8")
    return folder


def write_shard(file: Path, members: dict[str, bytes]) -> Path:
    """A tar file with those members."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as shard:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    return file


def members(backdrop: str = "white") -> dict[str, bytes]:
    """What a shard of all samples holds."""
    found = {}
    for name, (picture, fields) in samples(backdrop).items():
        found |= {f"{name}.png": picture, f"{name}.json": json.dumps(fields).encode()}
    return found
