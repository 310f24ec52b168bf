"""Whole runs with adapters on against diffusers' pipelines, with the same random weights and the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from torch import Tensor
from weights.references import noise, relative_error, scrambled

import safelight
from adapters.low_rank import kohya, layers, matrices, updated, write
from safelight.errors import BadInput

PROMPT, SEED, STEPS = "a red apple under the moon", 1024, 6
TOLERANCE = 1e-3  # after a whole run


def theirs_in(folder: Path, **parts: Any) -> Any:
    kind = diffusers.StableDiffusionControlNetPipeline if "controlnet" in parts else diffusers.StableDiffusionPipeline
    opened = kind.from_pretrained(folder, **parts)
    scheduler = {"use_karras_sigmas": False, "timestep_spacing": "leading"}
    opened.scheduler = diffusers.DDIMScheduler.from_config(opened.scheduler.config, **scheduler)
    opened.set_progress_bar_config(disable=True)
    return opened


def draw(pipeline: Any, prompt: str = PROMPT, **options: Any) -> Tensor:
    """The last latent of a run with DDIM."""
    if isinstance(pipeline, safelight.Pipeline):
        options |= {"seed": SEED, "sampler": "ddim", "grid": "leading"}
        *_, last = pipeline.stream(prompt, num_inference_steps=STEPS, **options)
        return last.latent
    generator = torch.Generator("cpu").manual_seed(SEED)
    return pipeline(prompt, num_inference_steps=STEPS, generator=generator, output_type="latent", **options).images


def picture(seed: int) -> Image.Image:
    return Image.fromarray((noise(64, 64, 3, seed=seed) * 60 + 128).clamp(0, 255).byte().numpy())


def test_a_run_with_two_loras(model_folder: Path, tmp_path: Path) -> None:
    ours, theirs = safelight.load(model_folder), theirs_in(model_folder)
    without = draw(ours)
    assert relative_error(without, draw(theirs)) <= TOLERANCE
    attached = []
    for seed, weight in enumerate((0.8, -0.3)):
        unet = matrices(theirs.unet, layers(theirs.unet), seed)
        text = matrices(theirs.text_encoder, layers(theirs.text_encoder), seed + 2)
        attached.append(ours.add_lora(write(tmp_path / f"{seed}.safetensors", kohya(unet, text)), weight))
        theirs.unet = updated(theirs.unet, unet, weight * 2 / 3)
        theirs.text_encoder = updated(theirs.text_encoder, text, weight * 2 / 3)
    found = draw(ours)
    assert relative_error(found, draw(theirs)) <= TOLERANCE
    assert relative_error(found, without) > 0.1
    for attachment in attached:
        attachment.detach()
    assert torch.equal(draw(ours), without)


def test_a_run_with_a_learnt_word(model_folder: Path, tmp_path: Path) -> None:
    ours, theirs = safelight.load(model_folder), theirs_in(model_folder)
    file = write(tmp_path / "learned_embeds.safetensors", {"<moon-toy>": noise(2, 32)})
    theirs.load_textual_inversion(str(file), token="<moon-toy>")
    prompt = "a red <moon-toy>, on a table"
    without = draw(ours, prompt)
    attached = ours.add_embedding(file)
    assert relative_error(draw(ours, prompt), draw(theirs, prompt)) <= TOLERANCE
    assert relative_error(draw(ours, prompt), without) > 0.01
    attached.detach()
    assert torch.equal(draw(ours, prompt), without)


@pytest.mark.parametrize("share", [(0.0, 1.0), (0.2, 0.7)])
def test_a_run_with_two_controlnets(share: tuple[float, float], model_folder: Path, tmp_path: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(model_folder / "unet")
    networks = [scrambled(diffusers.ControlNetModel.from_unet(unet), seed) for seed in (3, 4)]
    hints, weights = [picture(5), picture(6)], [0.9, 0.4]
    theirs = theirs_in(model_folder, controlnet=networks)
    ours = safelight.load(model_folder)
    without = draw(ours)
    attached = []
    for number, (network, weight) in enumerate(zip(networks, weights, strict=True)):
        network.save_pretrained(tmp_path / str(number))
        attached.append(ours.add_controlnet(tmp_path / str(number), weight, start=share[0], end=share[1]))
    expected = draw(
        theirs,
        image=hints,
        controlnet_conditioning_scale=weights,
        control_guidance_start=share[0],
        control_guidance_end=share[1],
    )
    found = draw(ours, control_image=hints)
    assert relative_error(found, expected) <= TOLERANCE
    assert relative_error(found, without) > 0.01
    with pytest.raises(BadInput, match=r"1 pictures.*2 ControlNets"):
        draw(ours, control_image=hints[:1])
    for attachment in attached:
        attachment.detach()
    assert torch.equal(draw(ours), without)


def test_a_controlnet_in_half_precision_draws(model_folder: Path, tmp_path: Path) -> None:
    ours = safelight.load(model_folder, dtype="bfloat16")
    unet = diffusers.UNet2DConditionModel.from_pretrained(model_folder / "unet")
    scrambled(diffusers.ControlNetModel.from_unet(unet)).save_pretrained(tmp_path / "control")
    ours.add_controlnet(tmp_path / "control")
    assert torch.isfinite(draw(ours, control_image=picture(5))).all()
