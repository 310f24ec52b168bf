"""Random masks, white where a picture is to be redrawn: thick strokes, boxes, or all of it.

The two shapes are those of Suvorov et al. 2022 (LaMa); that some masks hide everything is how Stable
Diffusion's inpainting model was trained, which keeps it able to draw from text alone.
"""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

EVERYTHING, BOXES = 0.25, 0.35  # the share of masks that hide everything, and that are made of boxes
WIDEST, NARROWEST = 0.3, 0.06  # of a stroke, in units of the shorter side
Size = tuple[int, int]


def random_mask(size: Size, random: Random) -> Image.Image:
    """A mask (mode L, 255 or 0) of that width and height; a part of it, at least, is white."""
    kind = random.random()
    if kind < EVERYTHING:
        return Image.new("L", size, 255)
    mask = Image.new("L", size, 0)
    shape = box if kind < EVERYTHING + BOXES else stroke
    for _ in range(random.randint(1, 4)):
        shape(ImageDraw.Draw(mask), size, random)
    return mask


def box(pen: ImageDraw.ImageDraw, size: Size, random: Random) -> None:
    """A filled box whose sides measure from a tenth to a half of the picture's."""
    width, height = (max(1, round(side * random.uniform(0.1, 0.5))) for side in size)
    left, top = random.randint(0, size[0] - width), random.randint(0, size[1] - height)
    pen.rectangle((left, top, left + width - 1, top + height - 1), fill=255)


def stroke(pen: ImageDraw.ImageDraw, size: Size, random: Random) -> None:
    """A chain of thick straight pieces with round joints, each turning a little from the one before."""
    shorter = min(size)
    thick = max(1, round(shorter * random.uniform(NARROWEST, WIDEST)))
    x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
    direction = random.uniform(0, 2 * math.pi)
    for _ in range(random.randint(1, 5)):
        direction += random.uniform(-1, 1) * math.pi / 2
        length = shorter * random.uniform(0.1, 0.5)
        end_x = min(max(x + length * math.cos(direction), 0), size[0] - 1)
        end_y = min(max(y + length * math.sin(direction), 0), size[1] - 1)
        pen.line((x, y, end_x, end_y), fill=255, width=thick)
        for joint_x, joint_y in ((x, y), (end_x, end_y)):
            pen.ellipse((joint_x - thick / 2, joint_y - thick / 2, joint_x + thick / 2, joint_y + thick / 2), fill=255)
        x, y = end_x, end_y
