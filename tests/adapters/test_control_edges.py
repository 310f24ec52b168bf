"""Edges: thin, whole and only where there are some."""

from __future__ import annotations

import numpy
import pytest
from PIL import Image, ImageDraw

from safelight.adapters.control_edges import connected, edges, slopes


def lines_of(picture: Image.Image) -> numpy.ndarray:
    found = numpy.asarray(edges(picture))
    assert set(numpy.unique(found)) <= {0, 255}
    assert (found[..., :1] == found).all()
    return found[..., 0] > 0


def test_a_plain_picture_has_none() -> None:
    assert not lines_of(Image.new("RGB", (40, 30), "orange")).any()
    assert edges(Image.new("RGB", (40, 30))).size == (40, 30)


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_straight_edge_is_one_line_one_pixel_wide_where_it_is(turned: int) -> None:
    picture = Image.new("RGB", (40, 40), "white")
    ImageDraw.Draw(picture).rectangle((0, 0, 19, 39), fill="black")
    found = lines_of(picture.rotate(turned))
    along = found if turned % 180 == 0 else found.T
    assert (along.sum(1) == 1).all()
    assert set(numpy.flatnonzero(along.any(0))) <= {19, 20}


def test_a_circle_is_closed_and_thin() -> None:
    picture = Image.new("L", (80, 80), 0)
    ImageDraw.Draw(picture).ellipse((20, 20, 59, 59), fill=255)
    found = lines_of(picture)
    y, x = numpy.nonzero(found)
    radius = numpy.hypot(y - 39.5, x - 39.5)
    assert (abs(radius - 20) < 1.5).all()
    assert 2 * 40 <= found.sum() <= 1.3 * numpy.pi * 40
    angles = numpy.sort(numpy.arctan2(y - 39.5, x - 39.5))
    assert numpy.diff(angles).max() < 0.15  # nowhere open by more than three pixels


def test_a_faint_edge_is_drawn_only_where_it_hangs_on_a_strong_one() -> None:
    weak = numpy.zeros((5, 9), bool)
    weak[2, 1:5] = weak[2, 7] = True
    strong = numpy.zeros_like(weak)
    strong[2, 1] = True
    expected = numpy.zeros_like(weak)
    expected[2, 1:5] = True
    assert (connected(weak, strong) == expected).all()
    assert not connected(weak, numpy.zeros_like(weak)).any()


def test_slopes_of_a_ramp() -> None:
    right, down = slopes(numpy.add.outer(2.0 * numpy.arange(5), 3.0 * numpy.arange(6)))
    assert (right[1:-1, 1:-1] == 8 * 3).all()
    assert (down[1:-1, 1:-1] == 8 * 2).all()


@pytest.mark.parametrize(("step", "found"), [(5, False), (70, True), (255, True)])
def test_what_an_eye_would_trace_is_found(step: int, found: bool) -> None:
    picture = Image.new("L", (40, 40), 255)
    ImageDraw.Draw(picture).rectangle((10, 10, 29, 29), fill=255 - step)
    assert lines_of(picture).any() == found
