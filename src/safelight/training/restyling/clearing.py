"""Soft pictures made clear: what a darkroom does with a mask out of focus (an unsharp mask), and a white ground."""

from __future__ import annotations

from PIL import Image, ImageFilter

RADIUS = 12 / 256  # of the mask's blur, in sides of the picture
VEIL = 0.05  # what is this close to white is the ground
CONTRAST = 1.25  # by which all else stands out more than it did; a mean of drawings on white is pale


def cleared(picture: Image.Image, sharpening: float) -> Image.Image:
    """A soft RGB picture on a white ground: its ground white, its colours fuller, its edges steeper.

    sharpening: the share of the difference from the blurred picture that is added; 0 leaves edges as they are.
    """
    levels = [round(255 * (1 - min(1.0, max(0.0, 1 - value / 255 - VEIL) * CONTRAST))) for value in range(256)]
    mask = ImageFilter.UnsharpMask(RADIUS * max(picture.size), round(100 * sharpening), 0)
    return picture.point(levels * 3).filter(mask)
