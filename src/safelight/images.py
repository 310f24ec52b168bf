"""Pictures: read, scaled, turned into tensors and back, laid out in a grid, written whole or not at all."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from safelight.errors import BadInput

Picture = Image.Image
LARGEST_SIDE = 16384  # pixels


def read_picture(source: str | os.PathLike[str] | Picture) -> Picture:
    """A file or a PIL picture, turned upright by its EXIF tag; raises BadInput where it is unreadable or damaged."""
    if isinstance(source, Picture):
        return source
    try:
        with Image.open(source) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise BadInput(f"{str(source)!r} is not a readable picture ({reason}); PNG, JPEG and WebP are read.") from error


def to_tensor(picture: Picture) -> Tensor:
    """RGB picture -> (3, h, w) float32 in [-1, 1]."""
    pixels = torch.from_numpy(numpy.asarray(picture.convert("RGB")).copy())
    return pixels.permute(2, 0, 1).float() / 127.5 - 1.0


def mask_to_tensor(mask: Picture) -> Tensor:
    """Mask -> (1, h, w) float32: 1 where it is white, which is to be redrawn, else 0."""
    return (torch.from_numpy(numpy.asarray(mask.convert("L")).copy())[None] >= 128).float()


def to_picture(image: Tensor) -> Picture:
    """(3, h, w) in [-1, 1] -> RGB picture; values beyond are clipped."""
    pixels = (image.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """RGB, of that size in pixels; transparency is laid over white."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)


def grid(pictures: Sequence[Picture], columns: int | None = None) -> Picture:
    """All pictures side by side in rows; by default about as many columns as rows."""
    if not pictures:
        raise BadInput("A grid needs at least one picture, got none.")
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * width, i // columns * height))
    return sheet


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture beside its place and then move it there; text chunks in `picture.info` go into a PNG."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in picture.info.items():
        if isinstance(text, str):
            chunks.add_itxt(name, text) if not text.isascii() else chunks.add_text(name, text)
    if not path.parent.is_dir():
        raise BadInput(f"The folder {str(path.parent)!r} does not exist; pictures are written into a folder that does.")
    suffix = path.suffix.lower()
    if suffix not in Image.registered_extensions():
        raise BadInput(f"{path.name!r} has an ending that names no picture format; .png keeps the recipe.")
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=suffix)
    os.close(handle)
    try:
        options = {"pnginfo": chunks} if suffix == ".png" else {"quality": 95}
        picture.save(beside, **options)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error
    finally:
        Path(beside).unlink(missing_ok=True)
