"""Pictures: read, scaled, turned into tensors and back, laid out in a grid, written whole or not at all."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from safelight.errors import BadInput

Picture = Image.Image
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # read; Pillow hands some of the others to outside programs
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # written; only .png keeps the recipe


class Drawn(Picture):
    """A picture that writes the texts in its `info` into the PNG it is saved as, which Pillow leaves to its caller."""

    @classmethod
    def of(cls, picture: Picture, texts: dict[str, str]) -> Drawn:
        """A picture of the same pixels with these texts and no others."""
        drawn = cls()
        drawn.__setstate__(picture.__getstate__())
        drawn.info = dict(texts.items())
        return drawn

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As Pillow's, with the texts."""
        chunks = PngImagePlugin.PngInfo()
        for name, text in self.info.items():
            chunks.add_text(str(name), str(text))
        super().save(fp, format, **{"pnginfo": chunks, **params})


def read_picture(source: str | os.PathLike[str] | Picture) -> Picture:
    """A file or a PIL picture, turned upright by its EXIF tag; raises BadInput where it is unreadable or damaged."""
    if not isinstance(source, str | os.PathLike | Picture):
        raise BadInput(f"A picture must be a file's name or a PIL picture, got {type(source).__name__}.")
    name = "the picture given" if isinstance(source, Picture) else repr(os.fspath(source))
    try:
        if isinstance(source, Picture):
            return ImageOps.exif_transpose(source)
        with Image.open(source, formats=FORMATS) as picture:
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadInput(f"{name} is not a readable picture ({reason}); {', '.join(FORMATS)} are read.") from error


def to_tensor(picture: Picture) -> Tensor:
    """RGB picture -> (3, h, w) float32 in [-1, 1]."""
    pixels = torch.from_numpy(numpy.asarray(picture.convert("RGB")).copy())
    return pixels.permute(2, 0, 1).float() / 127.5 - 1.0


def mask_to_tensor(mask: Picture) -> Tensor:
    """Mask -> (1, h, w) float32: 1 where it is white, which is to be redrawn, else 0."""
    return (torch.from_numpy(numpy.asarray(mask.convert("L")).copy())[None] >= 128).float()


def grey_to_tensor(picture: Picture) -> Tensor:
    """Grey picture, of 8 or 16 bits -> (1, h, w) float32, in its own units."""
    plain = picture if picture.mode.startswith("I") or picture.mode == "F" else picture.convert("L")
    return torch.from_numpy(numpy.asarray(plain).astype("float32"))[None]


def to_picture(image: Tensor) -> Picture:
    """(3, h, w) in [-1, 1] -> RGB picture; values beyond are clipped."""
    pixels = (image.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """RGB, of that size in pixels; transparency is laid over white."""
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        picture = picture.convert("I").point(lambda value: value / 257).convert("L")
    elif picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
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


def check_writable(path: Path) -> None:
    """Raise BadInput where `write_picture` could not write, so that one can ask before the work."""
    if path.suffix.lower() not in ENDINGS:
        raise BadInput(f"{str(path)!r} does not end like a picture that can be written; allowed: {', '.join(ENDINGS)}.")
    try:
        taken, has_folder = path.is_dir(), path.parent.is_dir()
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be written: {error.strerror}.") from error
    if taken:
        raise BadInput(f"{str(path)!r} is a folder; name a file for the picture.")
    if not has_folder:
        raise BadInput(f"The folder {str(path.parent)!r} does not exist; pictures are written into a folder that does.")
    if not os.access(path.parent, os.W_OK):
        raise BadInput(f"The folder {str(path.parent)!r} does not let you write; name another one.")


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture beside its place and then move it there; raises BadInput where that cannot be done."""
    check_writable(path)
    place = path.resolve()  # behind a link is the file that it means
    beside = place.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        picture.save(beside, quality=95)
        beside.replace(place)
    except (OSError, ValueError) as error:  # the latter of a size that the format does not have
        raise BadInput(f"{str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        beside.unlink(missing_ok=True)
