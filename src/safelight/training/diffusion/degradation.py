"""A small picture with the faults that real ones have: blurred, shrunk by any rule, noisy, packed too tightly.

After Zhang et al. 2021 (BSRGAN), section 3, with each fault once and in a fixed order.
"""

from __future__ import annotations

import io
from random import Random

import numpy
from PIL import Image, ImageFilter

RULES = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
WIDEST_BLUR = 0.6  # standard deviation of the blur, in pixels of the small picture
STRONGEST_NOISE = 12  # standard deviation of the noise, of 255
QUALITIES = (40, 95)  # of JPEG


def degraded(picture: Image.Image, factor: int, random: Random) -> Image.Image:
    """An RGB picture -> one `factor` times smaller, with random faults."""
    width, height = (side // factor for side in picture.size)
    blurred = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, WIDEST_BLUR) * factor))
    small = blurred.resize((width, height), random.choice(RULES))
    source = numpy.random.default_rng(random.getrandbits(63))
    noise = source.normal(0, random.uniform(0, STRONGEST_NOISE), (height, width, 3))
    noisy = Image.fromarray((numpy.asarray(small) + noise).round().clip(0, 255).astype("uint8"))
    packed = io.BytesIO()
    noisy.save(packed, "JPEG", quality=random.randint(*QUALITIES))
    return Image.open(packed).convert("RGB")
