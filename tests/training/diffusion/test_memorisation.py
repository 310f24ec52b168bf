"""Copies are found, and new pictures are not called copies."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from safelight.data.record import Record
from safelight.training.diffusion import memorisation
from safelight.training.diffusion.memorisation import Memorisation, small_pixels
from safelight.training.diffusion.views import View
from tests.data.shapes import png


def noise(seed: int) -> Image.Image:
    """A picture like no other."""
    pixels = numpy.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype="uint8")
    return Image.fromarray(pixels)


def views(pictures: list[Image.Image]) -> list[View]:
    return [
        View(Record(f"{number}", (), {}, partial(png, picture)), "white", (32, 32))
        for number, picture in enumerate(pictures)
    ]


MEMORY = Memorisation(views([noise(seed) for seed in range(60)]))


def test_copies_are_found_and_others_are_not() -> None:
    new, copied = [noise(seed) for seed in range(100, 110)], [noise(7), noise(8)]
    assert MEMORY.figures(new)["copies"] <= 0.1
    assert MEMORY.figures(new)["copy_ratio"] > 1.8  # all are about as far: near 1 / alpha = 2
    found = MEMORY.figures([*new, *copied])
    assert found["copies"] == pytest.approx(2 / 12, abs=0.1)
    assert found["copy_ratio"] < 0.01


def test_the_ratio_is_that_of_carlini_and_others() -> None:
    drawn = Image.blend(noise(3), noise(200), 0.4)
    distances = (small_pixels([drawn]) - MEMORY.known).double().square().sum(1).sqrt().sort().values
    expected = distances[0] / (0.5 * distances[:50].mean())
    assert MEMORY.figures([drawn])["copy_ratio"] == pytest.approx(float(expected), rel=1e-6)


def test_the_limit_is_how_close_training_pictures_are_to_each_other() -> None:
    known = MEMORY.known.double()
    apart = (known[:, None] - known[None]).square().sum(-1).sqrt() + torch.eye(len(known)) * 1e9
    assert pytest.approx(float(apart.min(1).values.quantile(0.05)), rel=1e-5) == MEMORY.usual


def test_the_nearest_view_is_named() -> None:
    assert [view.record.key for view in MEMORY.nearest_views([noise(9), noise(41)])] == ["9", "41"]


def test_half_precision_around_it_changes_nothing() -> None:
    plain = MEMORY.figures([noise(300)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert MEMORY.figures([noise(300)]) == plain


def test_the_usual_distance_is_that_of_shades_and_the_nearest_shade_is_found() -> None:
    shades = [Image.new("RGB", (8, 8), (value,) * 3) for value in range(0, 250, 10)]
    memory = Memorisation(views(shades))
    assert memory.usual == pytest.approx(10 / 255 * (3 * memorisation.SIDE**2) ** 0.5, rel=1e-4)
    assert memory.nearest_views([Image.new("RGB", (8, 8), (32, 32, 32))])[0].record.key == "3"


def test_of_very_many_pictures_a_part_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "MOST", 7)
    assert len({view.record.key for view in Memorisation(MEMORY.views).views}) == 7


def test_of_many_pictures_a_part_says_how_close_they_usually_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "COMPARED", 20)
    some = Memorisation(MEMORY.views)
    assert some.usual == pytest.approx(MEMORY.usual, rel=0.05)


def test_one_picture_has_no_neighbours(tmp_path: Path) -> None:
    alone = Memorisation(views([noise(1)]))
    assert alone.usual == 0
    assert alone.figures([noise(2)])["copies"] == 0


def test_pictures_that_cannot_be_read_are_not_compared_with() -> None:
    bad = View(Record("bad", (), {}, lambda: b"nothing"), "white", (64, 64))
    assert [view.record.key for view in Memorisation([bad, *MEMORY.views[:3]]).views] == ["0", "1", "2"]
