"""Odd pictures: each kind is told from the others, and is read as what it shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from PIL import Image

from safelight.data.decoding import ODDITIES, decoded, oddities, opened, to_rgba

RED, GREEN = (200, 30, 30), (30, 200, 30)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def deep(kind: str = "PNG") -> bytes:
    """Sixteen bits of grey: black, a quarter, and white."""
    values = numpy.array([[0, 16384, 65535]], dtype=numpy.uint16)
    return encoded(Image.fromarray(values), kind)


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 4), colour) for colour in (RED, GREEN)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)


PLAIN = Image.new("RGB", (8, 4), RED)
ODD: dict[str, Callable[[], bytes]] = {
    "cmyk": lambda: encoded(PLAIN.convert("CMYK"), "JPEG", quality=95),
    "16-bit": deep,
    "animated": lambda: moving("WEBP"),
    "rotated": lambda: encoded(PLAIN, "JPEG", exif=exif(6), quality=95),
    "palette": lambda: encoded(PLAIN.quantize(2), "PNG"),
    "1-bit": lambda: encoded(PLAIN.convert("1"), "PNG"),
    "grey": lambda: encoded(PLAIN.convert("L"), "JPEG"),
}


@pytest.mark.parametrize("name", ODDITIES)
def test_each_oddity_is_told_from_the_others(name: str) -> None:
    assert oddities(opened(ODD[name]())) == (name,)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_plain_pictures_are_not_odd(kind: str) -> None:
    assert oddities(opened(encoded(PLAIN, kind))) == ()


@pytest.mark.parametrize("name", ["cmyk", "animated", "palette", "rotated"])
def test_colours_are_what_they_show(name: str) -> None:
    pixel = to_rgba(decoded(ODD[name]())).getpixel((1, 1))
    assert isinstance(pixel, tuple)
    assert max(abs(one - other) for one, other in zip(pixel, (*RED, 255), strict=True)) <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    picture = to_rgba(decoded(deep(kind)))
    assert [picture.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0, 255), (64, 64, 64, 255), (255, 255, 255, 255)]


def test_the_first_frame_counts_in_a_gif() -> None:
    assert to_rgba(decoded(moving("GIF"))).getpixel((0, 0)) == (*RED, 255)
    assert oddities(opened(moving("GIF")))[0] == "animated"


def test_pictures_are_turned_upright() -> None:
    wide = Image.new("RGB", (8, 4), GREEN)
    wide.paste(RED, (0, 0, 4, 4))  # on the left: above, once the picture is turned to the right
    upright = decoded(encoded(wide, "PNG", exif=exif(6)))
    assert (upright.size, upright.getpixel((0, 0)), upright.getpixel((0, 7))) == ((4, 8), RED, GREEN)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_stays(mode: str) -> None:
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (255, 255, 255, 255))
    options = {"transparency": (0, 0, 0)} if mode == "RGB" else {}
    again = to_rgba(decoded(encoded(picture.convert(mode), "PNG", **options)))
    assert [again.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0, 0), (255, 255, 255, 255)]


@pytest.mark.parametrize("values", [numpy.full((2, 2), 70000, numpy.int32), numpy.full((2, 2), 0.5, numpy.float32)])
def test_numbers_without_a_known_white_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="beyond 16 bits"):
        to_rgba(decoded(encoded(Image.fromarray(values), "TIFF")))


def test_formats_that_start_other_programs_are_not_read() -> None:
    """Pillow gives Encapsulated PostScript to Ghostscript, whatever the file is called."""
    with pytest.raises(OSError, match="cannot identify"):
        decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n%%EndComments\n")
