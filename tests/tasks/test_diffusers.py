"""Whole pictures of the family against the pipelines of diffusers, from the folders that we write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

import safelight
from safelight.pipeline import Pipeline
from safelight.request import DISTILLED
from tasks.family import FAMILY, with_text
from tasks.test_tasks import half, ramp  # noqa: F401  (a fixture)

SEED, STEPS = 1024, 6
GIVEN = {"num_inference_steps": STEPS, "seed": SEED, "sampler": "ddim", "grid": "leading"}
CLOSEST = 2e-3  # of [0, 1], the largest difference of a pixel


def theirs(kind: str, pipe: Pipeline, tmp_path: Path, **parts: Any) -> Any:
    """The pipeline that diffusers makes of our folder, with DDIM."""
    pipe.save(tmp_path / "model")
    opened = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "model", **parts)
    opened.scheduler = diffusers.DDIMScheduler.from_config(
        opened.scheduler.config, use_karras_sigmas=False, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    opened.set_progress_bar_config(disable=True)
    return opened


def generator() -> torch.Generator:
    return torch.Generator("cpu").manual_seed(SEED)


def difference(ours: Image.Image, theirs: Any) -> float:
    pixels = numpy.asarray(ours, dtype=float) / 255
    assert pixels.shape == theirs.shape
    return float(abs(pixels - theirs).max())


def test_text_with_bert(tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY["bert"]())
    opened = theirs("bert", pipe, tmp_path)
    assert type(opened).__name__ == "LDMTextToImagePipeline"
    expected = opened(
        "a red apple",
        height=64,
        width=64,
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        eta=0.0,
        generator=generator(),
        output_type="np",
    ).images[0]
    assert difference(pipe("a red apple", **GIVEN).images[0], expected) <= 1 / 255 + CLOSEST


def test_inpainting(picture: Image.Image, half: Image.Image, tmp_path: Path) -> None:  # noqa: F811
    pipe = Pipeline(FAMILY["inpainting"]())
    opened = theirs("inpainting", pipe, tmp_path)
    assert type(opened).__name__ == "StableDiffusionInpaintPipeline"
    expected = opened(
        "a red apple",
        image=picture,
        mask_image=half,
        height=64,
        width=64,
        num_inference_steps=STEPS,
        generator=generator(),
        output_type="np",
    ).images[0]
    ours = pipe("a red apple", image=picture, mask_image=half, **GIVEN).images[0]
    drawn = numpy.asarray(half) == 255
    assert abs(numpy.asarray(ours) / 255 - expected)[drawn].max() <= 1 / 255 + CLOSEST


def test_instruction(picture: Image.Image, tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY["instruction"]())
    opened = theirs("instruction", pipe, tmp_path)
    assert type(opened).__name__ == "StableDiffusionInstructPix2PixPipeline"
    expected = opened(
        "make it red",
        image=picture,
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        image_guidance_scale=1.5,
        generator=generator(),
        output_type="np",
    ).images[0]
    assert difference(pipe("make it red", image=picture, **GIVEN).images[0], expected) <= 1 / 255 + CLOSEST


def test_depth(picture: Image.Image, tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY["depth"]())
    opened = theirs("depth", pipe, tmp_path, depth_estimator=None, feature_extractor=None)
    assert type(opened).__name__ == "StableDiffusionDepth2ImgPipeline"
    expected = opened(
        "a red apple",
        image=picture,
        depth_map=torch.from_numpy(numpy.asarray(ramp(), dtype="float32"))[None],
        strength=0.6,
        num_inference_steps=STEPS,
        generator=generator(),
        output_type="np",
    ).images[0]
    ours = pipe("a red apple", image=picture, depth_map=ramp(), strength=0.6, **GIVEN).images[0]
    assert difference(ours, expected) <= 1 / 255 + CLOSEST


def test_upscaling(picture: Image.Image, tmp_path: Path) -> None:
    pipe, small = Pipeline(FAMILY["upscaling"]()), picture.resize((32, 32))
    opened = theirs("upscaling", pipe, tmp_path)
    assert type(opened).__name__ == "StableDiffusionUpscalePipeline"
    expected = opened(
        "a red apple",
        image=small,
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        noise_level=35,
        generator=generator(),
        output_type="np",
    ).images[0]
    ours = pipe("a red apple", image=small, noise_level=35, **GIVEN).images[0]
    assert ours.size == (128, 128)
    assert difference(ours, expected) <= 1 / 255 + CLOSEST


def test_variation(picture: Image.Image, tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY["variation"]())
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    opened = theirs("variation", pipe, tmp_path, feature_extractor=processor)
    assert type(opened).__name__ == "StableUnCLIPImg2ImgPipeline"
    picture = picture.resize((96, 72))  # CLIP sees it as it is, whatever is drawn
    expected = opened(
        image=picture,
        prompt="a red apple",
        height=64,
        width=64,
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        noise_level=200,
        generator=generator(),
        output_type="np",
    ).images[0]
    ours = pipe("a red apple", image=picture, noise_level=200, **GIVEN).images[0]
    assert difference(ours, expected) <= 1 / 255 + CLOSEST


def test_restoration(picture: Image.Image, tmp_path: Path) -> None:
    pipe, small = Pipeline(FAMILY["restoration"]()), picture.resize((32, 32))
    opened = theirs("restoration", pipe, tmp_path)
    assert type(opened).__name__ == "LDMSuperResolutionPipeline"
    expected = opened(small, num_inference_steps=STEPS, eta=0, generator=generator(), output_type="np").images[0]
    assert difference(pipe(image=small, **GIVEN).images[0], expected) <= 1 / 255 + CLOSEST


def test_unconditional(tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY["unconditional"]())
    opened = theirs("unconditional", pipe, tmp_path)
    assert type(opened).__name__ == "LDMPipeline"
    expected = opened(num_inference_steps=STEPS, eta=0.0, generator=generator(), output_type="np").images[0]
    assert difference(pipe(width=32, height=32, **GIVEN).images[0], expected) <= 1 / 255 + CLOSEST


def test_a_network_that_was_distilled_from_a_guided_one(tmp_path: Path) -> None:
    pipe = Pipeline(replace(with_text(guidance_width=24), sampler="lcm"))
    pipe.save(tmp_path / "model")
    assert safelight.load(tmp_path / "model").usual == pipe.usual == DISTILLED["lcm"]
    opened = diffusers.LatentConsistencyModelPipeline.from_pretrained(tmp_path / "model")
    assert type(opened.scheduler).__name__ == "LCMScheduler"
    opened.set_progress_bar_config(disable=True)
    expected = opened(
        "a red apple", num_inference_steps=4, guidance_scale=6.0, generator=generator(), output_type="np"
    ).images[0]
    assert difference(pipe("a red apple", guidance_scale=6.0, seed=SEED).images[0], expected) <= 1 / 255 + CLOSEST
    other = pipe("a red apple", guidance_scale=3.0, seed=SEED)
    assert difference(other.images[0], expected) > 0.01
    assert (other.recipes[0].sampler, other.recipes[0].grid, other.recipes[0].num_inference_steps) == ("lcm", None, 4)
    chosen = pipe("a red apple", seed=SEED, num_inference_steps=2, sampler="euler").recipes[0]
    assert (chosen.sampler, chosen.num_inference_steps) == ("euler", 2)
