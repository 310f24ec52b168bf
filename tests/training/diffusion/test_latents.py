"""Kept latents: right, made once, and made again when anything that they are made of changes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from safelight.autoencoder import Autoencoder, Pixels
from safelight.data.backdrop import COLOURS, on_colour
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion import latents
from safelight.training.diffusion.latents import LatentSet, latent_set
from safelight.training.diffusion.views import Framing
from tests.data.shapes import SIDE, draw, png, records
from tests.training.tiny_tasks import parts


def encoded(cache: Path, autoencoder: Autoencoder | Pixels | None = None, **changes: Any) -> LatentSet:
    usual: dict[str, Any] = {"records": records("none"), "size": SIDE, "colours": ("white", "blue"), "cache": cache}
    found = {**usual, **changes}
    size = found["size"]
    framing = Framing(sizes=found.get("sizes", [(size, size)]), colours=found["colours"], **found.get("views", {}))
    return latent_set(found["records"], autoencoder or parts().autoencoder, framing, found["cache"])


def test_each_latent_is_that_of_its_picture_with_its_captions(tmp_path: Path) -> None:
    autoencoder = parts().autoencoder
    found = encoded(tmp_path / "latents.safetensors", autoencoder)
    assert [stack.shape for stack in found.stacks] == [(32, 4, SIDE // 2, SIDE // 2)]
    assert found[0].dtype == torch.bfloat16
    assert found.rows[2] == [4, 5]
    assert [view.captions for view in found.views[4:6]] == [["a red bar"], ["a red bar on a blue background"]]
    for row, colour in ((4, "white"), (5, "blue")):
        with torch.no_grad():
            image = to_tensor(on_colour(draw("red", "bar", "none"), COLOURS[colour]))[None]
            expected = autoencoder.encode(image).mean[0] * autoencoder.config.scale
        assert (found[row].float() - expected).abs().max() < 0.02 * expected.abs().max()


def test_opaque_pictures_have_one_view(tmp_path: Path) -> None:
    found = encoded(tmp_path / "latents.safetensors", records=records("white"))
    assert (len(found), found.views[2].captions) == (16, ["a red bar"])


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows whenever latents are made."""
    made: list[int] = []
    encode = latents._encode

    def counted(*given: Any) -> Any:
        made.append(1)
        return encode(*given)

    monkeypatch.setattr(latents, "_encode", counted)
    return made


def test_unchanged_they_are_read_even_with_other_captions(tmp_path: Path, encodings: list[int]) -> None:
    cache = tmp_path / "sub" / "latents.safetensors"
    first = encoded(cache)
    renamed = [Record(one.key, ("something else",), {}, one.read) for one in records("none")]
    second = encoded(cache, records=renamed)
    assert len(encodings) == 1
    assert torch.equal(first.stacks[0], second.stacks[0])
    assert [view.captions for view in second.views[:2]] == [["something else"], ["something else on a blue background"]]
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_another_decoder_leaves_them_as_they_are(tmp_path: Path, encodings: list[int]) -> None:
    cache, autoencoder = tmp_path / "latents.safetensors", parts().autoencoder
    first = encoded(cache, autoencoder)
    with torch.no_grad():
        for network in (autoencoder.latent_in, autoencoder.decoder):
            for tensor in network.parameters():
                tensor += 1
    second = encoded(cache, autoencoder)
    assert len(encodings) == 1
    assert torch.equal(first.stacks[0], second.stacks[0])


def changed_weight() -> Autoencoder:
    autoencoder = parts().autoencoder
    with torch.no_grad():
        autoencoder.encoder.conv_in.weight[0, 0, 0, 0] += 1e-3
    return autoencoder


def changed_scale() -> Autoencoder:
    autoencoder = parts().autoencoder
    autoencoder.config = replace(autoencoder.config, scale=0.5)
    return autoencoder


def changed_picture() -> list[Record]:
    other = png(draw("black", "square", "none"))
    return [Record("new", ("a new one",), {}, lambda: other), *records("none")[1:]]


@pytest.mark.parametrize(
    "change",
    [
        {"autoencoder": changed_weight},
        {"autoencoder": changed_scale},
        {"records": changed_picture},
        {"records": lambda: records("none")[::-1]},
        {"records": lambda: records("none")[:-1]},
        {"size": lambda: SIDE // 2},
        {"colours": lambda: ("white", "red")},
        {"colours": lambda: ("blue", "white")},
        {"views": lambda: {"flip": True}},
        {"views": lambda: {"cuts": 2}},
        {"sizes": lambda: [(SIDE, SIDE // 2)]},
    ],
    ids=[
        "weight",
        "scale",
        "picture",
        "order",
        "number",
        "size",
        "colours",
        "order of colours",
        "flip",
        "cuts",
        "shape",
    ],
)
def test_changed_they_are_made_again(tmp_path: Path, encodings: list[int], change: dict[str, Any]) -> None:
    cache = tmp_path / "latents.safetensors"
    encoded(cache)
    values = {name: value() for name, value in change.items()}
    found = encoded(cache, **values)
    assert len(encodings) == 2
    fresh = encoded(tmp_path / "fresh.safetensors", **values)
    assert torch.equal(found.stacks[0], fresh.stacks[0])
    assert [view.captions for view in found.views] == [view.captions for view in fresh.views]


def test_files_of_an_earlier_version_are_read(tmp_path: Path, encodings: list[int]) -> None:
    cache = tmp_path / "latents.safetensors"
    expected = encoded(cache)
    with safe_open(cache, "pt") as file:
        kept = {name: file.get_tensor(name) for name in ("latents", "sources", "colours")}
        fingerprint = file.metadata()
    save_file({name: tensor.clone() for name, tensor in kept.items()}, cache, fingerprint)
    found = encoded(cache)
    assert len(encodings) == 1
    assert [(view.colour, view.size, view.flipped, view.place) for view in found.views] == [
        (view.colour, view.size, view.flipped, view.place) for view in expected.views
    ]
    assert found.rows == expected.rows


@pytest.mark.parametrize("kept", [0, 10, -5])
def test_damaged_they_are_made_again(tmp_path: Path, encodings: list[int], kept: int) -> None:
    cache = tmp_path / "latents.safetensors"
    first = encoded(cache).stacks[0].clone()  # what is read from a file that shrinks is gone
    cache.write_bytes(cache.read_bytes()[:kept])
    assert torch.equal(encoded(cache).stacks[0], first)
    assert len(encodings) == 2


def wide(left: str, right: str) -> bytes:
    """A picture twice as wide as high, each half of one colour."""
    picture = Image.new("RGB", (2 * SIDE, SIDE), left)
    picture.paste(right, (SIDE, 0, 2 * SIDE, SIDE))
    return png(picture)


def one(content: bytes, *captions: str) -> Record:
    return Record("one", captions or ("a picture",), {}, lambda: content)


def unreadable(number: int) -> Record:
    return Record(f"bad {number}", ("",), {}, lambda: b"no picture")


def test_pictures_are_seen_in_a_mirror_where_no_caption_names_a_side(tmp_path: Path) -> None:
    pixels, halves = Pixels(), wide("red", "blue")
    flipped = {"records": [one(halves)], "sizes": [(2 * SIDE, SIDE)], "views": {"flip": True}}
    found = encoded(tmp_path / "a", pixels, **flipped)
    assert [view.flipped for view in found.views] == [False, True]
    assert torch.equal(found[0].flip(-1), found[1])
    assert not torch.equal(found[0], found[1])
    sided = encoded(tmp_path / "b", pixels, **{**flipped, "records": [one(halves, "red on the left", "two halves")]})
    assert [view.flipped for view in sided.views] == [False]


def test_pictures_of_another_shape_are_cut_from_end_to_end(tmp_path: Path) -> None:
    found = encoded(tmp_path / "a", Pixels(), records=[one(wide("red", "blue"))], views={"cuts": 3})
    red, blue = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([-1.0, -1.0, 1.0])
    ends = [(row[:, 0, 0], row[:, 0, -1]) for row in (found[0], found[1], found[2])]
    assert torch.equal(
        torch.stack([torch.stack(pair) for pair in ends]),
        torch.stack([torch.stack([red, red]), torch.stack([red, blue]), torch.stack([blue, blue])]),
    )


def test_each_shape_has_a_stack_of_its_own(tmp_path: Path) -> None:
    tall = png(Image.new("RGB", (SIDE, 2 * SIDE), "green"))
    mixed = [one(wide("red", "blue")), *records("white")[:3], one(tall), one(wide("blue", "red"))]
    sizes = [(SIDE, SIDE), (2 * SIDE, SIDE), (SIDE, 2 * SIDE)]
    for _ in range(2):  # made, and read
        found = encoded(tmp_path / "a", None, records=mixed, sizes=sizes)
        assert [tuple(found[row].shape[1:]) for row in range(6)] == [(16, 32), *[(16, 16)] * 3, (32, 16), (16, 32)]
        assert [found.stack(row) for row in range(6)] == [0, 1, 1, 1, 2, 0]
        assert [view.size for view in found.views[:2]] == [(2 * SIDE, SIDE), (SIDE, SIDE)]
    alone = encoded(tmp_path / "b", None, records=[mixed[-1]], sizes=sizes)
    assert (found[5].float() - alone[0].float()).abs().max() < 0.02 * alone[0].float().abs().max()


def test_pixels_are_kept_exactly_in_eight_bits(tmp_path: Path) -> None:
    found = encoded(tmp_path / "a", Pixels(), colours=("blue",))
    assert found.stacks[0].dtype == torch.uint8
    for row in (0, 7):
        torch.testing.assert_close(found[row], found.views[row].image(), rtol=0, atol=0)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = [*records("white")[:2], unreadable(1), *records("white")[2:]]
    found = encoded(tmp_path / "a", None, records=some)
    assert [found.views[rows[0]].record.key for rows in found.rows] == [one.key for one in records("white")]
    assert "bad 1" in caplog.text
    many = [*records("white"), *map(unreadable, range(4))]
    with pytest.raises(
        BadInput, match=r"4 of the 20 pictures cannot be read, or more.*'bad 3'.*5%.*safelight data check"
    ):
        encoded(tmp_path / "b", None, records=many[::-1])
    plenty = [*many[::-1], *(replace(one, key=f"{one.key} {n}") for n in range(4) for one in records("white"))]
    assert len(encoded(tmp_path / "a", Pixels(), records=plenty).rows) == len(plenty) - 4
    with pytest.raises(BadInput, match="None of the 2 pictures"):
        encoded(tmp_path / "c", None, records=[unreadable(1), unreadable(2)])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_large_sets_are_read_from_the_disk_when_they_are_used(tmp_path: Path) -> None:
    found = encoded(tmp_path / "a", Pixels(), colours=("white",))
    assert str(tmp_path / "a") in Path("/proc/self/maps").read_text() or sys.platform != "linux"
    assert found.stacks[0].shape[0] == 16


def test_the_first_background_is_shown_as_often_as_asked_and_its_views_alike(tmp_path: Path) -> None:
    found = encoded(tmp_path / "a", Pixels(), colours=("white", "blue", "red"), views={"flip": True})
    drawn = [found.views[found.choose(3, 0.4, Random(seed))] for seed in range(2000)]
    white = sum(view.colour == "white" for view in drawn) / 2000
    assert abs(white - (0.4 + 0.6 / 3)) < 0.03
    assert abs(sum(view.flipped for view in drawn) / 2000 - 0.5) < 0.03
    assert {view.record.key for view in drawn} == {found.views[found.rows[3][0]].record.key}
