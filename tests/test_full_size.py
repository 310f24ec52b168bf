"""Stable Diffusion at its full size, with random weights, against diffusers.

`pytest -m slow -s tests/test_full_size.py`: minutes and 15 GB of memory each. The figures are printed, and stand in
docs/figures.md.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

import safelight
from safelight.autoencoder import Autoencoder
from safelight.catalog import published
from safelight.text import TextEncoder
from safelight.text.vocabulary import clip_tokenizer
from safelight.unet import UNet
from safelight.weights import Parts, save_folder

PROMPT, NEGATIVE, SEED, STEPS = "a red fox under a full moon", "fog", 1024, 3
CLOSEST = 1e-3  # relative, of the last latent


def write(name: str, folder: Path) -> None:
    """The model of the catalogue with random weights, as a folder."""
    model = published(name)
    torch.manual_seed(0)
    parts = Parts(
        tokenizer=clip_tokenizer(pad="<|endoftext|>" if name.startswith("sd-1") else "!"),
        text_encoder=TextEncoder(model.text_encoder).eval(),
        unet=UNet(model.unet).eval(),
        autoencoder=Autoencoder(model.autoencoder).eval(),
        schedule=model.schedule,
    )
    with torch.no_grad():  # PyTorch's own start leaves every sum of attention tiny: make the terms count
        for parameter in parts.unet.parameters():
            parameter.mul_(1.3)
    save_folder(folder, parts)


def theirs(folder: Path) -> tuple[torch.Tensor, float]:
    """The last latent of diffusers' default scheduler for this folder, and its seconds."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    started = time.perf_counter()
    generator = torch.Generator("cpu").manual_seed(SEED)
    found: Any = pipe(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, generator=generator, output_type="latent"
    ).images
    return found, time.perf_counter() - started


def ours(folder: Path) -> tuple[torch.Tensor, float]:
    pipe = safelight.load(folder, device="cpu", dtype="float32")
    started = time.perf_counter()
    latent = torch.empty(0)
    for step in pipe.stream(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, seed=SEED):
        latent = step.latent
    return latent, time.perf_counter() - started


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-1.4", "sd-2.1"])
def test_a_whole_run_at_full_size(name: str, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        write(name, tmp_path / "model")
        gc.collect()
        found, our_seconds = ours(tmp_path / "model")
        gc.collect()
        expected, their_seconds = theirs(tmp_path / "model")
    finally:
        torch.set_num_threads(threads)
    error = float((found - expected).norm() / expected.norm())
    size = published(name).size
    print(  # noqa: T201  (run for its figures)
        f"\n{name}: {size} x {size} pixels, {STEPS} steps, fp32: relative error {error:.1e}; "
        f"{our_seconds:.0f} s here, {their_seconds:.0f} s in diffusers"
    )
    assert found.std() > 0.1
    assert error <= CLOSEST
