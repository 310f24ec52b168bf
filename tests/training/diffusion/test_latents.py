"""Kept latents: right, made once, and made again when anything that they are made of changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.autoencoder import Autoencoder
from safelight.data.backdrop import COLOURS, on_colour
from safelight.data.collection import Record
from safelight.images import to_tensor
from safelight.training.diffusion import latents
from safelight.training.diffusion.latents import LatentSet, latent_set
from tests.data.shapes import SIDE, draw, png, records
from tests.training.tiny_tasks import parts


def encoded(cache: Path, autoencoder: Autoencoder | None = None, **changes: Any) -> LatentSet:
    usual: dict[str, Any] = {"records": records("none"), "size": SIDE, "colours": ("white", "blue"), "cache": cache}
    found = {**usual, **changes}
    return latent_set(found.pop("records"), autoencoder or parts().autoencoder, **found)


def test_each_latent_is_that_of_its_picture_with_its_captions(tmp_path: Path) -> None:
    autoencoder = parts().autoencoder
    found = encoded(tmp_path / "latents.safetensors", autoencoder)
    assert found.latents.shape == (32, 4, SIDE // 2, SIDE // 2)
    assert found.latents.dtype == torch.bfloat16
    assert found.rows[2] == [4, 5]
    assert [view.captions for view in found.views[4:6]] == [["a red bar"], ["a red bar on a blue background"]]
    for row, colour in ((4, "white"), (5, "blue")):
        with torch.no_grad():
            image = to_tensor(on_colour(draw("red", "bar", "none"), COLOURS[colour]))[None]
            expected = autoencoder.encode(image).mean[0] * autoencoder.config.scale
        assert (found.latents[row].float() - expected).abs().max() < 0.02 * expected.abs().max()


def test_opaque_pictures_have_one_view(tmp_path: Path) -> None:
    found = encoded(tmp_path / "latents.safetensors", records=records("white"))
    assert (len(found.latents), found.views[2].captions) == (16, ["a red bar"])


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows whenever latents are made."""
    made: list[int] = []
    encode = latents._encode
    monkeypatch.setattr(latents, "_encode", lambda *rest: made.append(1) or encode(*rest))  # type: ignore
    return made


def test_unchanged_they_are_read_even_with_other_captions(tmp_path: Path, encodings: list[int]) -> None:
    cache = tmp_path / "sub" / "latents.safetensors"
    first = encoded(cache)
    renamed = [Record(one.key, ("something else",), {}, one.read) for one in records("none")]
    second = encoded(cache, records=renamed)
    assert len(encodings) == 1
    assert torch.equal(first.latents, second.latents)
    assert [view.captions for view in second.views[:2]] == [["something else"], ["something else on a blue background"]]
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


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
    ],
    ids=["weight", "scale", "picture", "order", "number", "size", "colours", "order of colours"],
)
def test_changed_they_are_made_again(tmp_path: Path, encodings: list[int], change: dict[str, Any]) -> None:
    cache = tmp_path / "latents.safetensors"
    encoded(cache)
    values = {name: value() for name, value in change.items()}
    found = encoded(cache, **values)
    assert len(encodings) == 2
    fresh = encoded(tmp_path / "fresh.safetensors", **values)
    assert torch.equal(found.latents, fresh.latents)
    assert [view.captions for view in found.views] == [view.captions for view in fresh.views]


@pytest.mark.parametrize("kept", [0, 10, -5])
def test_damaged_they_are_made_again(tmp_path: Path, encodings: list[int], kept: int) -> None:
    cache = tmp_path / "latents.safetensors"
    first = encoded(cache)
    cache.write_bytes(cache.read_bytes()[:kept])
    assert torch.equal(encoded(cache).latents, first.latents)
    assert len(encodings) == 2
