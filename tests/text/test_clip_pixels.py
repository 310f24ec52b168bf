"""Pictures as CLIP's image encoder wants them, against transformers' processor."""

from __future__ import annotations

import numpy
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from safelight.errors import BadInput
from safelight.text import clip_pixels

GREY_LEVEL = 1 / 255 / 0.26  # one step of 8 bits, at the smallest deviation


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = numpy.random.default_rng(width).integers(0, 256, (height, width, 4), dtype=numpy.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize(
    ("width", "height"), [(224, 224), (300, 224), (640, 427), (427, 641), (50, 31), (224, 225), (512, 512)]
)
def test_the_same_numbers_as_transformers(width: int, height: int, mode: str) -> None:
    given = picture(width, height, mode)
    expected = CLIPImageProcessorPil()(given, return_tensors="pt").pixel_values[0]
    found = clip_pixels(given)
    assert found.shape == (3, 224, 224)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < GREY_LEVEL / 100


def test_another_size() -> None:
    expected = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})(
        picture(90, 61), return_tensors="pt"
    ).pixel_values[0]
    assert float((clip_pixels(picture(90, 61), 28) - expected).abs().max()) < GREY_LEVEL / 100


def test_a_thread_of_a_picture_is_refused() -> None:
    with pytest.raises(BadInput, match="1 x 3000 pixels"):
        clip_pixels(Image.new("RGB", (1, 3000)))
