"""Networks of Stable Diffusion 1.4's shape and the bundled model, ours beside diffusers', in one process in turn."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from itertools import product

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from timing import compare

import safelight
from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig, UNetConfig
from safelight.opening import BUNDLED
from safelight.placement import use_fast_layout
from safelight.unet import UNet

THEIR_UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}  # the other defaults are SD 1's
THEIR_AUTOENCODER = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}


def empty_built(make: object, dtype: torch.dtype) -> torch.nn.Module:
    """A network with small random weights, built without the slow default initialisation."""
    with torch.device("meta"):
        network = make()  # type: ignore[operator]
    network = network.to(dtype).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.02, generator=generator)
    return network  # type: ignore[no-any-return]


def unet_step(dtype: torch.dtype, size: int, rounds: int) -> None:
    """One guided step: a batch of two latents."""
    latent = torch.randn(2, 4, size // 8, size // 8, dtype=dtype)
    context, timestep = torch.randn(2, 77, 768, dtype=dtype), torch.tensor(500)
    ours = use_fast_layout(empty_built(lambda: UNet(UNetConfig()), dtype))
    theirs = empty_built(lambda: UNet2DConditionModel(**THEIR_UNET), dtype)
    fast = latent.contiguous(memory_format=torch.channels_last)
    compare(
        f"UNet step, SD 1.4, {size} px, batch 2, {name_of(dtype)}",
        lambda: ours(fast, timestep, context),
        lambda: theirs(latent, timestep, encoder_hidden_states=context).sample,
        rounds,
    )


def decode(dtype: torch.dtype, size: int, rounds: int) -> None:
    """One latent to a picture."""
    latent = torch.randn(1, 4, size // 8, size // 8, dtype=dtype)
    ours = use_fast_layout(empty_built(lambda: Autoencoder(AutoencoderConfig()), dtype))
    theirs = empty_built(lambda: AutoencoderKL(**THEIR_AUTOENCODER), dtype)
    compare(
        f"decode, SD 1.4, {size} px, {name_of(dtype)}",
        lambda: ours.decode(latent),  # type: ignore[operator]
        lambda: theirs.decode(latent).sample,  # type: ignore[operator]
        rounds,
    )


def bundled(dtype: torch.dtype, rounds: int) -> None:
    """The bundled model from prompt to picture: 25 steps with guidance in all of them, and as it draws by default.

    diffusers has guidance in all of them either way; both are warm.
    """
    ours = safelight.load(dtype=dtype, device="cpu")
    theirs = their_bundled(dtype)
    theirs.scheduler = DPMSolverMultistepScheduler.from_config(theirs.scheduler.config, use_karras_sigmas=True)
    everywhere = {"guidance_start": 0.0, "guidance_end": 1.0}
    for what, steps, guidance in (("25 steps", 25, everywhere), ("20 steps, as by default", 20, {})):
        compare(
            f"bundled model, {what}, {name_of(dtype)}",
            partial(ours, "a red apple", seed=0, num_inference_steps=steps, **guidance),
            partial(theirs, "a red apple", num_inference_steps=steps, generator=torch.Generator().manual_seed(0)),
            rounds,
        )


def few_steps(dtype: torch.dtype, rounds: int) -> None:
    """The bundled model with its LoRA in one, two and four steps, beside diffusers with the same file, all warm.

    With the same decoder on both sides, and with our tiny one against it.
    """
    ours = {
        "": safelight.load(dtype=dtype, device="cpu", fast=True, autoencoder=BUNDLED),
        ", our tiny decoder": safelight.load(dtype=dtype, device="cpu", fast=True),
    }
    theirs = their_bundled(dtype)
    theirs.load_lora_weights(BUNDLED / "fast", weight_name="pytorch_lora_weights.safetensors")
    theirs.fuse_lora()
    theirs.scheduler = LCMScheduler.from_config(theirs.scheduler.config)
    noise = torch.Generator()
    for steps, (decoder, pipe) in product((1, 2, 4), ours.items()):
        compare(
            f"bundled model, fast, {steps} steps, {name_of(dtype)}{decoder}",
            partial(pipe, "a red apple", seed=0, num_inference_steps=steps),
            partial(theirs, "a red apple", num_inference_steps=steps, guidance_scale=1.0, generator=noise),
            rounds,
        )


def their_bundled(dtype: torch.dtype) -> StableDiffusionPipeline:
    """The bundled model in diffusers, which reads no weights in eight bits."""
    with tempfile.TemporaryDirectory() as folder:
        safelight.load(device="cpu").save(folder)
        pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def name_of(dtype: torch.dtype) -> str:
    """bfloat16, float32."""
    return str(dtype).removeprefix("torch.")


def main() -> None:
    """Run what was asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=("unet", "decode", "bundled", "fast"))
    arguments.add_argument("--dtype", choices=("bfloat16", "float32"))
    arguments.add_argument("--size", type=int, default=512, help="pixels (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    chosen = arguments.parse_args()
    dtypes = [getattr(torch, chosen.dtype)] if chosen.dtype else [torch.bfloat16, torch.float32]
    with torch.inference_mode():
        for dtype in dtypes:
            if chosen.only in (None, "unet"):
                unet_step(dtype, chosen.size, chosen.rounds)
            if chosen.only in (None, "decode"):
                decode(dtype, chosen.size, chosen.rounds)
    for dtype in dtypes:
        if chosen.only in (None, "bundled"):
            bundled(dtype, chosen.rounds)
        if chosen.only in (None, "fast"):
            few_steps(dtype, chosen.rounds)


if __name__ == "__main__":
    main()
