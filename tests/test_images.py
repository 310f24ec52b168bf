"""Pictures: what is read, how it becomes numbers, and that a file is whole or not there."""

from __future__ import annotations

import errno
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from safelight.errors import BadInput
from safelight.images import Drawn, grid, mask_to_tensor, read_picture, scaled, to_picture, to_tensor, write_picture


def test_tensors_and_back(picture: Image.Image) -> None:
    tensor = to_tensor(picture)
    assert tensor.shape == (3, 64, 64)
    assert float(tensor.min()) >= -1
    assert float(tensor.max()) <= 1
    assert to_picture(tensor).tobytes() == picture.tobytes()


def test_every_level_of_a_byte_survives() -> None:
    levels = Image.frombytes("RGB", (256, 1), bytes(level for level in range(256) for _ in range(3)))
    assert to_picture(to_tensor(levels)).tobytes() == levels.tobytes()


def test_values_between_go_to_the_nearest() -> None:
    image = torch.tensor([100.4, 100.6, 101.4]).reshape(3, 1, 1) / 127.5 - 1
    assert to_picture(image).getpixel((0, 0)) == (100, 101, 101)


def test_values_beyond_are_clipped() -> None:
    assert to_picture(torch.full((3, 1, 1), -7.0)).getpixel((0, 0)) == (0, 0, 0)
    assert to_picture(torch.full((3, 1, 1), 7.0)).getpixel((0, 0)) == (255, 255, 255)


def test_a_mask_is_1_from_the_middle_on() -> None:
    mask = Image.frombytes("L", (4, 1), bytes([0, 127, 128, 255]))
    assert mask_to_tensor(mask).tolist() == [[[0, 0, 1, 1]]]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tiff"])
def test_what_is_read(ending: str, picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / f"x.{ending}")
    assert read_picture(tmp_path / f"x.{ending}").size == (64, 64)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (4, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    lying.save(tmp_path / "x.jpg", exif=exif)
    assert read_picture(tmp_path / "x.jpg").size == (2, 4)
    with Image.open(tmp_path / "x.jpg") as opened:
        assert read_picture(opened).size == (2, 4)


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert scaled(clear, 8, 8).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    palette.info["transparency"] = 0
    assert scaled(palette, 8, 8).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_become_eight() -> None:
    grey = Image.fromarray(numpy.array([[0, 257, 32896, 65535]], dtype=numpy.uint16))
    assert [scaled(grey, 4, 1).getpixel((x, 0))[0] for x in range(4)] == [0, 1, 128, 255]
    turned = Image.frombytes("I;16B", (4, 1), numpy.array([0, 257, 32896, 65535], dtype=">u2").tobytes())
    assert [scaled(turned, 4, 1).getpixel((x, 0))[0] for x in range(4)] == [0, 1, 128, 255]
    large = Image.frombytes("I", (2, 1), numpy.array([0, 65535], dtype=numpy.int32).tobytes())
    assert [scaled(large, 2, 1).getpixel((x, 0))[0] for x in range(2)] == [0, 255]


def test_a_size_that_the_format_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.webp' cannot be written"):
        write_picture(Image.new("RGB", (16384, 1)), tmp_path / "x.webp")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_the_right_size_keeps_its_pixels(picture: Image.Image) -> None:
    assert scaled(picture, 64, 64).tobytes() == picture.tobytes()
    assert scaled(picture, 32, 8).size == (32, 8)


def bomb(path: Path) -> Path:
    """A PNG of a few bytes that says it has 10^10 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def cut(path: Path, picture: Image.Image, share: float) -> Path:
    """The first part of a file."""
    picture.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_what_is_no_picture_is_refused_in_one_sentence(picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("I am no picture.")
    (tmp_path / "empty.png").touch()
    (tmp_path / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    flipped = tmp_path / "flipped.png"
    picture.save(flipped)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 255
    flipped.write_bytes(content)
    cases: list[tuple[Any, str]] = [
        (tmp_path / "absent.png", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "text.png", "cannot identify"),
        (tmp_path / "empty.png", "cannot identify"),
        (tmp_path / "script.png", "cannot identify"),
        (flipped, "not a readable picture"),
        (cut(tmp_path / "cut.png", picture, 0.5), "not a readable picture"),
        (cut(tmp_path / "cut.jpg", picture, 0.5), "truncated"),
        (cut(tmp_path / "cut.webp", picture, 0.5), "not a readable picture"),
        (bomb(tmp_path / "bomb.png"), "decompression bomb"),
        ("nul\0.png", "null"),
        (3, "got int"),
        (numpy.zeros((8, 8, 3)), "got ndarray"),
    ]
    for source, words in cases:
        with pytest.raises(BadInput, match=words) as raised:
            read_picture(source)
        assert "\n" not in str(raised.value)


def test_a_damaged_picture_that_pillow_opened_lazily_is_refused(picture: Image.Image, tmp_path: Path) -> None:
    with Image.open(cut(tmp_path / "cut.png", picture, 0.5)) as lazy, pytest.raises(BadInput, match="picture given"):
        read_picture(lazy)


def test_a_grid_goes_row_by_row() -> None:
    pictures = [Image.new("RGB", (2, 3), (i, i, i)) for i in range(1, 6)]
    sheet = grid(pictures)
    assert sheet.size == (6, 6)
    corners = [sheet.getpixel((x, y))[0] for y in (0, 3) for x in (0, 2, 4)]
    assert corners == [1, 2, 3, 4, 5, 255]
    assert grid(pictures, columns=5).size == (10, 3)
    with pytest.raises(BadInput, match="at least one"):
        grid([])


def test_texts_go_into_a_png_and_nowhere_else(picture: Image.Image, tmp_path: Path) -> None:
    texts = {"parameters": "a red apple\nSteps: 3", "safelight": '{"prompt": "яблоко 🍎"}'}
    drawn = Drawn.of(picture, texts)
    drawn.save(tmp_path / "pillow.png")
    write_picture(drawn, tmp_path / "ours.png")
    for name in ("pillow.png", "ours.png"):
        with Image.open(tmp_path / name) as again:
            assert again.info == texts
            assert again.tobytes() == picture.tobytes()
    drawn.save(tmp_path / "x.jpg")
    drawn.copy().save(tmp_path / "x.webp")
    assert picture.info == {}


@pytest.mark.parametrize("ending", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"])
def test_what_is_written(ending: str, picture: Image.Image, tmp_path: Path) -> None:
    write_picture(Drawn.of(picture, {"parameters": "x"}), tmp_path / f"x{ending}")
    assert read_picture(tmp_path / f"x{ending}").size == (64, 64)
    assert [file.name for file in tmp_path.iterdir()] == [f"x{ending}"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no/such/x.png", "does not exist"),
        ("x", "allowed: .png"),
        ("x.txt", "allowed: .png"),
        ("x.pdf", "allowed: .png"),
        ("folder.png", "is a folder"),
        (f"{300 * 'x'}.png", "cannot be written: File name too long"),
    ],
)
def test_where_nothing_can_be_written(name: str, words: str, picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadInput, match=words):
        write_picture(picture, tmp_path / name)
    assert [file.name for file in tmp_path.rglob("*")] == ["folder.png"]


def test_a_folder_that_may_not_be_written(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(BadInput, match="does not let you write"):
        write_picture(picture, tmp_path / "x.png")


@pytest.mark.parametrize("where", ["os.replace", "PIL.PngImagePlugin._idat.write"])
def test_a_full_disk_leaves_the_old_file_whole(
    where: str, picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x.png").write_text("the old one")
    monkeypatch.setattr(where, full)
    with pytest.raises(BadInput, match="cannot be written: No space left on device"):
        write_picture(picture, tmp_path / "x.png")
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]
    assert (tmp_path / "x.png").read_text() == "the old one"


def test_an_interruption_while_writing_leaves_nothing(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(picture, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_with_a_transparent_value_become_eight() -> None:
    grey = Image.fromarray(numpy.full((4, 4), 40 * 257, "uint16"))
    grey.info["transparency"] = 7
    assert scaled(grey, 4, 4).getpixel((0, 0)) == (40, 40, 40)
