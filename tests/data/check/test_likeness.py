"""Likeness: what people take for the same picture is found, what they do not is not, and the search misses nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random

import numpy
import pytest
from PIL import Image, ImageDraw

from safelight.data.check.likeness import BITS, DIFFERENCE, Likeness, alike, likeness
from tests.data.shapes import draw


def scene(seed: int) -> Image.Image:
    """A picture of overlapping shapes, of which no two are alike."""
    random = Random(seed)
    picture = Image.new("RGBA", (160, 120), tuple(random.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top = random.randrange(-20, 130), random.randrange(-20, 100)
        box = (left, top, left + random.randrange(20, 70), top + random.randrange(20, 70))
        pen.ellipse(box, fill=tuple(random.randrange(256) for _ in range(3)))
    return picture


def squeezed(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=50)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGBA")


SAME: dict[str, Callable[[Image.Image], Image.Image]] = {
    "squeezed": squeezed,
    "half as large": lambda picture: picture.resize((80, 60), Image.Resampling.LANCZOS),
    "larger": lambda picture: picture.resize((251, 190), Image.Resampling.BICUBIC),
    "a dot on it": lambda picture: dotted(picture),
    "a little brighter": lambda picture: picture.point(lambda value: min(255, value + 4)),
}
OTHER: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "in other colours": lambda picture: Image.merge("RGBA", [*reversed(picture.split()[:3]), picture.split()[3]]),
    "negative": lambda picture: Image.merge(
        "RGBA", [band.point(lambda v: 255 - v) for band in picture.split()[:3]] + [picture.split()[3]]
    ),
}


def dotted(picture: Image.Image) -> Image.Image:
    marked = picture.copy()
    ImageDraw.Draw(marked).ellipse((5, 5, 12, 12), fill="white")
    return marked


@pytest.mark.parametrize("change", SAME)
def test_what_shows_the_same_is_alike(change: str) -> None:
    for seed in range(20):
        assert alike([likeness(scene(seed)), likeness(SAME[change](scene(seed)))]) == [(0, 1)], f"scene {seed}"


@pytest.mark.parametrize("change", OTHER)
def test_what_shows_something_else_is_not(change: str) -> None:
    for seed in range(20):
        assert alike([likeness(scene(seed)), likeness(OTHER[change](scene(seed)))]) == [], f"scene {seed}"


def test_shapes_differ_in_colour_form_and_only_then() -> None:
    pictures = [draw(colour, shape) for colour in ("red", "blue") for shape in ("circle", "cross", "bar")]
    assert alike([likeness(picture) for picture in [*pictures, *pictures[:2]]]) == [(0, 6), (1, 7)]


def test_white_drawings_on_nothing_are_told_apart() -> None:
    drawings = []
    for box in ((2, 2, 14, 14), (16, 10, 30, 30)):
        picture = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
        ImageDraw.Draw(picture).rectangle(box, fill="white")
        drawings.append(likeness(picture))
    assert alike(drawings) == []
    assert drawings[0].small.max() - drawings[0].small.min() > 200


def test_a_cut_out_and_its_copy_on_white_are_alike() -> None:
    assert alike([likeness(draw("red", "circle", "none")), likeness(draw("red", "circle", "white"))]) == [(0, 1)]


def test_the_search_finds_exactly_the_pairs_that_comparing_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes around a few centres, so that many pairs lie on either side of the limit; blocks of few pairs at once."""
    monkeypatch.setattr("safelight.data.check.likeness.PAIRS_AT_ONCE", 50)
    random = Random(1)
    looks = []
    for centre in [random.getrandbits(64) for _ in range(12)]:
        for _ in range(25):
            bits = random.sample(range(64), random.randrange(7))
            shade = random.choice((100, 103, 107))
            small = numpy.full((8, 8, 3), shade, numpy.uint8)
            looks.append(Likeness(hash=centre ^ sum(1 << bit for bit in bits), small=small))
    expected = [
        (i, j)
        for j in range(len(looks))
        for i in range(j)
        if (looks[i].hash ^ looks[j].hash).bit_count() <= BITS
        and abs(int(looks[i].small[0, 0, 0]) - int(looks[j].small[0, 0, 0])) <= DIFFERENCE
    ]
    found = alike(looks)
    assert found == sorted(expected)
    assert 100 < len(found) < 12 * 300


def test_nothing_is_alike_in_nothing() -> None:
    assert alike([]) == []
    assert alike([likeness(scene(0))]) == []


@pytest.mark.parametrize("shape", ["circle", "square", "bar", "cross"])
def test_symmetry_does_not_make_the_hash_unsteady(shape: str) -> None:
    """Half of the frequencies of a symmetric drawing are 0, and the sign of what is left of them is noise."""
    picture = draw("blue", shape)
    rng = numpy.random.default_rng(0)
    for _ in range(10):
        grain = rng.integers(-2, 3, (32, 32, 3))
        pixels = numpy.clip(numpy.asarray(picture.convert("RGB")).astype(int) + grain, 0, 255).astype(numpy.uint8)
        assert alike([likeness(picture), likeness(Image.fromarray(pixels).convert("RGBA"))]) == [(0, 1)]
