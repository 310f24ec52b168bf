"""Starting from a picture, and redrawing a part of one: identities that hold to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.pipeline import Pipeline, Run
from safelight.request import Request

PROMPT, SEED = "a red apple", 7


def draw(pipe: Pipeline, **options: Any) -> Image.Image:
    return pipe(PROMPT, **{"seed": SEED, "num_inference_steps": 5, **options}).images[0]


def prepared(pipe: Pipeline, **options: Any) -> Run:
    return pipe.prepare(Request(prompt=PROMPT, **options))


def own_latent(pipe: Pipeline, picture: Image.Image) -> torch.Tensor:
    """The scaled latent of a picture as SEED samples it."""
    with torch.no_grad():
        found = pipe.autoencoder.encode(to_tensor(picture)[None])
    return found.sample(torch.Generator("cpu").manual_seed(SEED)) * pipe.autoencoder.config.scale


@pytest.fixture
def mask() -> Image.Image:
    """Its right half, and 3 columns more, is to be redrawn."""
    pixels = numpy.zeros((64, 64), dtype=numpy.uint8)
    pixels[:, 29:] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("num_images", [1, 2])
def test_a_strength_of_0_gives_the_picture_back(pipe: Pipeline, picture: Image.Image, num_images: int) -> None:
    images = pipe(PROMPT, image=picture, strength=0, num_images=num_images).images
    assert [image.tobytes() for image in images] == [picture.tobytes()] * num_images
    assert list(pipe.stream(PROMPT, image=picture, strength=0)) == []


def test_the_stronger_the_further_from_the_picture(pipe: Pipeline, picture: Image.Image) -> None:
    own = own_latent(pipe, picture)
    distances = []
    for strength in (0.1, 0.4, 1):
        *_, last = pipe.stream(PROMPT, image=picture, strength=strength, seed=SEED, num_inference_steps=20)
        distances.append(float((last.latent - own).norm()))
    assert distances == sorted(distances)
    assert distances[0] < 0.1 * distances[2]
    assert draw(pipe, image=picture, strength=1).tobytes() != picture.tobytes()


def test_a_strength_of_1_takes_every_step(pipe: Pipeline, picture: Image.Image) -> None:
    steps = [len(list(pipe.stream(PROMPT, image=picture, strength=s, num_inference_steps=10))) for s in (1, 0.6, 0.19)]
    assert steps == [10, 6, 1]
    assert prepared(pipe, image=picture, strength=0.6, num_inference_steps=10).total == 6


def test_without_noise_an_image_starts_from_its_own_latent(
    pipe: Pipeline, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first denoised estimate of a network that predicts no noise is where the run began."""

    def silent(latent: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.zeros_like(latent)

    monkeypatch.setattr(pipe.unet, "forward", silent)
    none = torch.zeros(1, 4, 8, 8)
    step = next(pipe.stream(PROMPT, image=picture, strength=0.5, seed=SEED, latents=none))
    assert torch.allclose(step.denoised, own_latent(pipe, picture), atol=1e-5)


def test_the_size_is_that_of_the_picture_cut_to_eighths(pipe: Pipeline, picture: Image.Image) -> None:
    assert draw(pipe, image=picture.resize((79, 33))).size == (72, 32)
    assert draw(pipe, image=picture.resize((3, 5))).size == (8, 8)
    assert draw(pipe, image=picture, width=40, height=72).size == (40, 72)
    assert draw(pipe, image=picture, width=40).size == (40, 64)


def test_a_file_and_its_picture_are_alike(pipe: Pipeline, picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "start.png")
    drawn = [draw(pipe, image=image) for image in (picture, tmp_path / "start.png", str(tmp_path / "start.png"))]
    assert len({image.tobytes() for image in drawn}) == 1


def test_a_picture_from_a_picture_does_not_depend_on_the_batch(pipe: Pipeline, picture: Image.Image) -> None:
    both = pipe([PROMPT, PROMPT], image=picture, seed=SEED, num_inference_steps=5).images
    assert both[1].tobytes() == draw(pipe, image=picture, seed=SEED + 1).tobytes()


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral", "plms"])
@pytest.mark.parametrize("strength", [0, 0.6, 1])
def test_pixels_outside_the_mask_come_back_to_the_byte(
    pipe: Pipeline, picture: Image.Image, mask: Image.Image, sampler: str, strength: float
) -> None:
    drawn = numpy.asarray(draw(pipe, image=picture, mask_image=mask, strength=strength, sampler=sampler))
    before = numpy.asarray(picture)
    assert (drawn[:, :29] == before[:, :29]).all()
    assert (drawn[:, 29:] == before[:, 29:]).all() == (strength == 0)


def test_the_latent_outside_the_mask_is_the_pictures_own(
    pipe: Pipeline, picture: Image.Image, mask: Image.Image
) -> None:
    *_, last = pipe.stream(PROMPT, image=picture, mask_image=mask, strength=1, seed=SEED)
    own = own_latent(pipe, picture)
    assert torch.allclose(last.latent[..., :3], own[..., :3], atol=1e-4)  # the mask begins in the fourth column
    assert not torch.allclose(last.latent[..., 3:], own[..., 3:], atol=1e-1)


def test_a_black_mask_keeps_all_and_a_white_one_nothing(pipe: Pipeline, picture: Image.Image) -> None:
    black, white = Image.new("L", (64, 64), 0), Image.new("1", (64, 64), 1)
    assert draw(pipe, image=picture, mask_image=black, strength=1).tobytes() == picture.tobytes()
    everything = draw(pipe, image=picture, mask_image=white, strength=0.6)
    assert everything.tobytes() == draw(pipe, image=picture, strength=0.6).tobytes()


def test_what_a_mask_hides_does_not_shine_through_at_a_strength_of_1(pipe: Pipeline) -> None:
    hidden = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    white = Image.new("L", (64, 64), 255)
    drawn = {draw(pipe, image=image, mask_image=white, strength=1).tobytes() for image in hidden}
    assert len(drawn) == 1


def test_a_mask_is_scaled_with_its_picture(pipe: Pipeline, picture: Image.Image, mask: Image.Image) -> None:
    large = picture.resize((128, 128), Image.Resampling.NEAREST)
    drawn = draw(pipe, image=large, mask_image=mask.resize((128, 128)), width=64, height=64, strength=1)
    kept = prepared(pipe, image=large, width=64, height=64).source.picture
    assert (numpy.asarray(drawn)[:, :28] == numpy.asarray(kept)[:, :28]).all()


def test_what_does_not_go_together_is_refused(pipe: Pipeline, picture: Image.Image, mask: Image.Image) -> None:
    with pytest.raises(BadInput, match="mask_image is 32 x 64 pixels, image is 64 x 64"):
        draw(pipe, image=picture, mask_image=mask.crop((0, 0, 32, 64)))
    with pytest.raises(BadInput, match="mask_image was given without image"):
        draw(pipe, mask_image=mask)


def test_the_recipe_names_picture_mask_and_strength(pipe: Pipeline, picture: Image.Image, mask: Image.Image) -> None:
    (recipe,) = pipe(PROMPT, image=picture, mask_image=mask, strength=0.4, num_inference_steps=3).recipes
    other = pipe(PROMPT, image=picture.rotate(90), strength=0.4, num_inference_steps=3).recipes[0]
    assert recipe.strength == 0.4
    assert len(recipe.image) == len(recipe.mask) == 64
    assert other.image != recipe.image
    assert other.mask is None
    assert pipe(PROMPT, num_inference_steps=1).recipes[0].strength is None


def test_texts_of_the_source_do_not_pass_for_the_pictures_own(pipe: Pipeline, picture: Image.Image) -> None:
    picture.info.update(workflow="somebody else's", safelight="{}")
    drawn = draw(pipe, image=picture, strength=0)
    assert drawn.info.keys() == {"parameters", "safelight"}
    assert picture.info == {"workflow": "somebody else's", "safelight": "{}"}


@pytest.mark.parametrize(("strength", "steps"), [(0.2, 4), (0.01, 20)])
def test_a_strength_of_which_no_step_is_left_is_refused(
    pipe: Pipeline, picture: Image.Image, strength: float, steps: int
) -> None:
    with pytest.raises(BadInput, match=rf"strength is {strength} of {steps} steps.*at least {1 / steps}"):
        draw(pipe, image=picture, strength=strength, num_inference_steps=steps)
    assert draw(pipe, image=picture, strength=1 / steps, num_inference_steps=steps).tobytes() != picture.tobytes()


def test_an_array_is_no_picture(pipe: Pipeline) -> None:
    with pytest.raises(BadInput, match="must be a file's name or a PIL picture, got ndarray"):
        draw(pipe, image=numpy.zeros((64, 64, 3), "uint8"))
