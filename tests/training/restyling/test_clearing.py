"""What is soft on a pale ground becomes clear on a white one."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFilter

from safelight.images import to_tensor
from safelight.training.restyling.clearing import cleared


def soft() -> Image.Image:
    """A dark disc, out of focus, on a ground that is not quite white."""
    picture = Image.new("RGB", (128, 128), (246, 245, 247))
    ImageDraw.Draw(picture).ellipse((32, 32, 96, 96), fill=(180, 60, 40))
    return picture.filter(ImageFilter.GaussianBlur(5))


def steepest(picture: Image.Image) -> float:
    return float(to_tensor(picture).mean(0).diff(dim=1).abs().max())


def test_the_ground_is_white_and_colours_are_fuller() -> None:
    made = cleared(soft(), 0.0)
    assert made.getpixel((2, 2)) == (255, 255, 255)
    before, after = (picture.getpixel((64, 64)) for picture in (soft(), made))
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    assert all(new < old for new, old in zip(after, before, strict=True))


def test_edges_are_steeper() -> None:
    plain, sharp = cleared(soft(), 0.0), cleared(soft(), 1.2)
    assert steepest(sharp) > 1.3 * steepest(plain)
    assert torch.equal(to_tensor(sharp)[:, :4], to_tensor(plain)[:, :4])


def test_white_stays_white() -> None:
    assert cleared(Image.new("RGB", (16, 16), "white"), 1.2).getextrema() == ((255, 255),) * 3
