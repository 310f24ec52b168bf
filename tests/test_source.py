"""The picture that a run starts from, and its mask."""

from __future__ import annotations

import numpy
import pytest
import torch
from PIL import Image

from safelight.errors import BadInput
from safelight.source import Source, digest, open_source, picture_size


@pytest.fixture
def grey_mask() -> Image.Image:
    """16 x 16: one pixel that counts as white, one that does not."""
    mask = Image.new("L", (16, 16), 0)
    mask.putpixel((9, 2), 128)
    mask.putpixel((1, 12), 127)
    return mask


def test_one_white_pixel_frees_its_whole_latent(picture: Image.Image, grey_mask: Image.Image) -> None:
    source = open_source(picture.resize((16, 16)), grey_mask, 16, 16)
    assert source is not None
    assert source.latent_mask(8).tolist() == [[[[0, 1], [0, 0]]]]


def test_pasting_replaces_white_pixels_only(picture: Image.Image, grey_mask: Image.Image) -> None:
    small = picture.resize((16, 16))
    source = open_source(small, grey_mask, 16, 16)
    assert source is not None
    pasted = numpy.asarray(source.paste(Image.new("RGB", (16, 16), "red"))).copy()
    assert tuple(pasted[2, 9]) == (255, 0, 0)
    pasted[2, 9] = numpy.asarray(small)[2, 9]
    assert (pasted == numpy.asarray(small)).all()


def test_without_a_mask_all_is_drawn(picture: Image.Image) -> None:
    drawn = Image.new("RGB", (64, 64))
    assert Source(picture, None).paste(drawn) is drawn
    with pytest.raises(BadInput, match="no mask"):
        Source(picture, None).latent_mask(8)


def test_an_image_is_a_tensor_from_minus_1_to_1() -> None:
    source = Source(Image.frombytes("RGB", (2, 1), bytes([0, 255, 51, 0, 0, 0])), None)
    assert torch.allclose(source.image[0, :, 0, 0], torch.tensor([-1.0, 1.0, -0.6]))


def test_no_image_is_no_source() -> None:
    assert open_source(None, None, 8, 8) is None
    assert picture_size(None, 512) == (512, 512)


def test_sizes_are_cut_down_to_multiples(picture: Image.Image) -> None:
    assert picture_size(picture.resize((79, 7)), 512) == (72, 8)
    assert picture_size(picture.resize((79, 7)), 512, 16) == (64, 16)


def test_a_digest_knows_pixels_size_and_mode(picture: Image.Image) -> None:
    assert digest(None) is None
    assert digest(picture) == digest(picture.copy())
    changed = picture.copy()
    changed.putpixel((63, 63), (1, 2, 3))
    reshaped = Image.frombytes("RGB", (32, 128), picture.tobytes())
    assert len({digest(one) for one in (picture, changed, reshaped, picture.convert("L"))}) == 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_that_lets_something_through_is_refused(picture: Image.Image, mode: str) -> None:
    mask = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    mask.paste((255, 255, 255, 255), (8, 8, 40, 40))
    with pytest.raises(BadInput, match="mask_image has transparent places; it must be white where"):
        open_source(picture, mask.convert(mode), 64, 64)
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), mask)
    source = open_source(picture, opaque.convert(mode), 64, 64)
    assert source is not None
    assert source.mask_tensor.sum() == 32 * 32


@pytest.mark.parametrize(("mode", "white"), [("L", 1), ("L", 127), ("F", 1.0), ("I", 255)])
def test_a_mask_in_which_nothing_counts_as_white_is_refused(picture: Image.Image, mode: str, white: float) -> None:
    mask = Image.new(mode, picture.size, 0)
    mask.paste(white, (8, 8, 40, 40))
    with pytest.raises(BadInput, match=f"mask_image, a picture in {mode}, is nowhere white, though not all black"):
        open_source(picture, mask, 64, 64)
