"""Pictures varied at random, as a judge of drawn pictures should see them: moved, relit, softened, over any colour.

Each choice is drawn from the `random` that is given, so that a sample follows from its place in the run.
"""

from __future__ import annotations

import io
import math
from random import Random

from PIL import Image, ImageEnhance

from safelight.data.backdrop import COLOURS, is_cut_out, on_colour
from safelight.training.classifier.settings import VariationConfig

WHITE = COLOURS["white"]
JPEG_QUALITIES = (25, 95)
SOFTENERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def varied(picture: Image.Image, white_share: float, settings: VariationConfig, random: Random) -> Image.Image:
    """A square RGBA picture -> RGB of the same size; behind a cut-out one there is white in `white_share` of cases."""
    colour = random_colour(random) if is_cut_out(picture) and random.random() >= white_share else WHITE
    picture = on_colour(moved(picture, settings, random), colour)
    picture = relit(picture, settings, random)
    if random.random() < settings.soft_share:
        picture = softened(picture, settings, random)
    if random.random() < settings.jpeg_share:
        picture = through_jpeg(picture, random)
    return picture


def random_colour(random: Random) -> tuple[int, int, int]:
    """One of the named colours half of the time, else any colour at all."""
    if random.random() < 0.5:
        return random.choice(list(COLOURS.values()))
    return random.randrange(256), random.randrange(256), random.randrange(256)


def moved(picture: Image.Image, settings: VariationConfig, random: Random) -> Image.Image:
    """Shifted, scaled and turned about the middle; what comes in from outside the frame is transparent."""
    zoom = math.exp(random.uniform(-1, 1) * math.log1p(settings.scale))
    angle = math.radians(random.uniform(-1, 1) * settings.turn)
    reach = settings.shift * picture.width
    across, down = random.uniform(-reach, reach), random.uniform(-reach, reach)
    # Pillow asks where each pixel comes from: (x, y) = A (x' - middle - shift) + middle
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    middle = picture.width / 2
    left = middle - cosine * (middle + across) - sine * (middle + down)
    top = middle + sine * (middle + across) - cosine * (middle + down)
    matrix = (cosine, sine, left, -sine, cosine, top)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def relit(picture: Image.Image, settings: VariationConfig, random: Random) -> Image.Image:
    """Brightness, contrast and saturation a little higher or lower."""
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = change(picture).enhance(1 + random.uniform(-settings.light, settings.light))
    return picture


def softened(picture: Image.Image, settings: VariationConfig, random: Random) -> Image.Image:
    """Scaled down and up again: what a coarse autoencoder or an unsure model leaves of it."""
    side = max(1, round(picture.width * random.uniform(settings.least_detail, 1)))
    small = picture.resize((side, side), random.choice(SOFTENERS))
    return small.resize(picture.size, random.choice(SOFTENERS))


def through_jpeg(picture: Image.Image, random: Random) -> Image.Image:
    """Stored as JPEG and read back: blocks, and colour that bleeds over edges."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=random.randint(*JPEG_QUALITIES))
    with Image.open(file) as stored:
        return stored.convert("RGB")
