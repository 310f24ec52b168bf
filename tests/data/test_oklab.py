"""OKLab: its author's own figures, and the way back."""

from __future__ import annotations

import numpy
import pytest

from safelight.data.oklab import from_oklab, from_polar, to_oklab, to_polar


@pytest.mark.parametrize(
    ("pixel", "lightness", "chroma", "hue"),
    [  # CSS Color Module Level 4 gives these to the primaries of sRGB
        ((255, 0, 0), 0.628, 0.2577, 29.2),
        ((0, 255, 0), 0.8664, 0.2948, 142.5),
        ((0, 0, 255), 0.452, 0.3132, 264.1),
        ((255, 255, 255), 1.0, 0.0, None),
    ],
)
def test_primaries(pixel: tuple[int, int, int], lightness: float, chroma: float, hue: float | None) -> None:
    found = [float(each[0]) for each in to_polar(to_oklab(numpy.array([pixel], numpy.uint8)))]
    assert found[:2] == pytest.approx([lightness, chroma], abs=2e-3)
    assert hue is None or found[2] == pytest.approx(hue, abs=0.2)


def test_there_and_back() -> None:
    pixels = numpy.random.default_rng(0).integers(0, 256, (2000, 3), numpy.uint8)
    assert numpy.array_equal(from_oklab(to_oklab(pixels)), pixels)
    assert numpy.array_equal(from_oklab(from_polar(*to_polar(to_oklab(pixels)))), pixels)


def test_what_no_screen_shows_becomes_paler_at_the_same_lightness_and_hue() -> None:
    beyond = from_polar(*(numpy.array([each], numpy.float32) for each in (0.8, 0.4, 255.0)))
    lightness, chroma, hue = (float(each[0]) for each in to_polar(to_oklab(from_oklab(beyond))))
    assert lightness == pytest.approx(0.8, abs=0.01)
    assert hue == pytest.approx(255, abs=2)
    assert 0.08 < chroma < 0.2
