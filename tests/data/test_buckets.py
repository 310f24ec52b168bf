"""Buckets: shapes of one area, the nearest of them, and what is cut from a picture to fit."""

from __future__ import annotations

from random import Random

import numpy
import pytest
from PIL import Image

from safelight.data.buckets import Crop, buckets, cut, fit, nearest_bucket, window
from safelight.errors import BadInput


@pytest.mark.parametrize(("side", "step", "longest"), [(1024, 64, 2048), (512, 64, 1024), (64, 8, 128), (96, 32, 96)])
def test_sizes_have_about_the_area_of_the_square(side: int, step: int, longest: int) -> None:
    sizes = buckets(side, step, longest)
    assert (side, side) in sizes
    assert sizes == sorted(set(sizes), key=lambda size: size[0] / size[1])
    for width, height in sizes:
        assert (height, width) in sizes
        assert width % step == height % step == 0
        assert max(width, height) <= longest
        assert width * height <= side**2 < max(width * (height + step), (width + step) * height) + step**2
        assert side**2 < min(width, height) * (max(width, height) + step) + step * max(width, height)


def test_the_sizes_of_sdxl_are_among_them() -> None:
    """Podell et al. 2023, appendix I: the shapes of it that people know best."""
    wide = {(1152, 896), (1216, 832), (1344, 768), (1536, 640)}
    published = {(1024, 1024), *wide, *((height, width) for width, height in wide)}
    assert published <= set(buckets(1024, 64, 2048))
    assert len(buckets(1024, 64, 1024)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 64, 200), "side of the square bucket is 100; it must be a multiple of the step, 64"),
        ((64, 0, 64), "multiple of the step, 0"),
        ((128, 64, 64), "longest side of a bucket is 64; it must be at least that of the square, 128"),
    ],
)
def test_bad_sizes_are_named(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        buckets(*arguments)


def test_the_nearest_bucket_has_the_nearest_shape() -> None:
    sizes = buckets(1024, 64, 2048)
    for place, size in enumerate(sizes):
        assert nearest_bucket((size[0] * 3, size[1] * 3), sizes) == place
    assert sizes[nearest_bucket((1920, 1080), sizes)] == (1344, 768)
    assert sizes[nearest_bucket((10, 1000), sizes)] == (512, 2048)
    assert nearest_bucket((1, 1), [(1, 2), (4, 2), (2, 1), (20, 40)]) == 3, "the larger of several as near"


@pytest.mark.parametrize("crop", ["centre", "random"])
@pytest.mark.parametrize("size", [(100, 50), (50, 100), (33, 47)])
def test_the_window_is_as_large_as_can_be_and_has_the_shape(crop: Crop, size: tuple[int, int]) -> None:
    for seed in range(20):
        left, top, right, bottom = window(size, (32, 24), crop, Random(seed))
        width, height = (right - left) * size[0], (bottom - top) * size[1]
        assert width / height == pytest.approx(32 / 24)
        assert width == pytest.approx(size[0]) or height == pytest.approx(size[1])
        assert min(left, top) >= 0
        assert max(right, bottom) <= 1 + 1e-9
        if crop == "centre":
            assert (left + right, top + bottom) == pytest.approx((1, 1))


def test_random_windows_reach_every_place_and_follow_from_the_source() -> None:
    lefts = [window((100, 50), (1, 1), "random", Random(seed))[0] for seed in range(400)]
    assert lefts == [window((100, 50), (1, 1), "random", Random(seed))[0] for seed in range(400)]
    assert (min(lefts), max(lefts)) == (pytest.approx(0, abs=0.02), pytest.approx(0.5, abs=0.02))
    assert numpy.mean(lefts) == pytest.approx(0.25, abs=0.03)


def test_fitting_scales_and_cuts() -> None:
    ramp = numpy.tile(numpy.arange(100, dtype=numpy.uint8), (50, 1))
    fitted = fit(Image.fromarray(ramp), (25, 25), "centre", Random(0))
    assert fitted.size == (25, 25)
    middle = numpy.asarray(fitted)[12].astype(float)
    assert middle[3:-3] == pytest.approx(ramp[0, 25:75].reshape(25, 2).mean(axis=1)[3:-3], abs=1)
    whole = Image.new("RGBA", (25, 25), "red")
    assert fit(whole, (25, 25), "random", Random(0)) is whole


def test_a_companion_is_cut_at_the_same_place_with_its_numbers_kept() -> None:
    rows = numpy.repeat(numpy.array([0, 7], dtype=numpy.uint8), 30)
    picture, numbers = (numpy.tile(numpy.kron(rows, numpy.ones(scale, numpy.uint8)), (20, 1)) for scale in (2, 1))
    part = window((120, 20), (20, 20), "random", Random(5))
    one = cut(Image.fromarray(picture), part, (20, 20), Image.Resampling.NEAREST)
    other = cut(Image.fromarray(numbers), part, (20, 20), Image.Resampling.NEAREST)
    assert numpy.array_equal(numpy.asarray(one), numpy.asarray(other))
    assert set(numpy.asarray(other).ravel().tolist()) <= {0, 7}
