"""Whole pictures against diffusers: the folder that we write, opened there, gives the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch
from diffusion.test_parity import ExactIntegral, diffusers_class
from PIL import Image
from tiny_model import tiny_parts

from safelight.pipeline import Pipeline

PROMPT, NEGATIVE, SEED, STEPS = "a red apple under the moon", "a table", 1024, 10
CLOSEST = {"use_karras_sigmas": False, "timestep_spacing": "leading"}

# Our sampler on its own grid -> the class that diffusers' users change to, and what they set beside.
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": False}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
}


@pytest.fixture(autouse=True)
def exact_integral(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusers.schedulers.scheduling_lms_discrete.integrate", ExactIntegral, raising=False)


@pytest.fixture(scope="module")
def theirs(model_folder: Path) -> Iterator[Any]:
    opened = diffusers.StableDiffusionPipeline.from_pretrained(model_folder)
    opened.set_progress_bar_config(disable=True)
    yield opened


def largest_difference(ours: Image.Image, theirs: Image.Image) -> int:
    """In steps of 1/255."""
    pixels, others = (numpy.asarray(picture, dtype=int) for picture in (ours, theirs))
    assert pixels.shape == others.shape
    return int(abs(pixels - others).max())


def generator() -> torch.Generator:
    return torch.Generator("cpu").manual_seed(SEED)


def test_the_folder_as_it_is_gives_our_default(pipe: Pipeline, theirs: Any) -> None:
    assert type(theirs.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert theirs.scheduler.config.use_karras_sigmas
    expected = theirs(PROMPT, num_inference_steps=25, generator=generator()).images[0]
    assert largest_difference(pipe(PROMPT, seed=SEED).images[0], expected) <= 1


def test_negative_prompt_guidance_rescale_and_size(pipe: Pipeline, theirs: Any) -> None:
    options = {"num_inference_steps": STEPS, "guidance_scale": 20.0, "guidance_rescale": 1.0, "height": 48, "width": 80}
    expected = theirs(PROMPT, negative_prompt=NEGATIVE, generator=generator(), **options).images[0]
    ours = pipe(PROMPT, negative_prompt=NEGATIVE, seed=SEED, **options).images[0]
    assert ours.size == (80, 48)
    assert largest_difference(ours, expected) <= 1


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_the_same_picture_with_the_counterpart(
    sampler: str, pipe: Pipeline, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, settings = SCHEDULERS[sampler]
    scheduler = diffusers_class(name).from_config(theirs.scheduler.config, **CLOSEST, **settings)
    monkeypatch.setattr(theirs, "scheduler", scheduler)
    expected = theirs(PROMPT, num_inference_steps=STEPS, generator=generator()).images[0]
    ours = pipe(PROMPT, seed=SEED, num_inference_steps=STEPS, sampler=sampler, grid="leading").images[0]
    assert largest_difference(ours, expected) <= 1


def test_a_law_with_zero_terminal_snr_is_walked_as_the_folder_says(tmp_path: Path) -> None:
    parts = tiny_parts()
    parts.schedule = replace(parts.schedule, prediction="v", zero_terminal_snr=True)
    ours = Pipeline(parts)
    ours.save(tmp_path)
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(PROMPT, num_inference_steps=STEPS, generator=generator()).images[0]
    assert largest_difference(ours(PROMPT, seed=SEED, num_inference_steps=STEPS).images[0], expected) <= 1
    assert Pipeline(replace(parts, usual={"grid": "linspace"})).usual == {"grid": "linspace"}  # its own word


def test_a_late_start_counts_the_steps_that_were_planned(pipe: Pipeline, theirs: Any, picture: Image.Image) -> None:
    """SDE-DPM-Solver++ 3M ends otherwise in runs of fewer than 15 steps."""
    settings = {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, **CLOSEST}
    scheduler = diffusers.DPMSolverMultistepScheduler.from_config(theirs.scheduler.config, **settings)
    changing = diffusers.StableDiffusionImg2ImgPipeline(
        **{**theirs.components, "scheduler": scheduler}, requires_safety_checker=False
    )
    changing.set_progress_bar_config(disable=True)
    options = {"image": picture, "strength": 0.48, "num_inference_steps": 25}
    expected = changing(PROMPT, generator=generator(), **options).images[0]
    ours = pipe(PROMPT, seed=SEED, sampler="dpmpp_3m_sde", grid="leading", **options).images[0]
    assert largest_difference(ours, expected) <= 1


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddim", "euler"])
def test_image_to_image(sampler: str, pipe: Pipeline, theirs: Any, picture: Image.Image) -> None:
    parts = {**theirs.components}
    if sampler != "dpmpp_2m":
        parts["scheduler"] = diffusers_class(SCHEDULERS[sampler][0]).from_config(theirs.scheduler.config, **CLOSEST)
    changing = diffusers.StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    changing.set_progress_bar_config(disable=True)
    options = {"image": picture, "strength": 0.6, "num_inference_steps": STEPS}
    expected = changing(PROMPT, generator=generator(), **options).images[0]
    grid = "karras" if sampler == "dpmpp_2m" else "leading"
    ours = pipe(PROMPT, seed=SEED, sampler=sampler, grid=grid, **options).images[0]
    assert largest_difference(ours, expected) <= 1
