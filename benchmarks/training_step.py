"""A training step of the bundled model's UNet, forward and backward in bfloat16, ours beside diffusers', in turn.

It shows what `layers/normalisation.py` and the plain attention of `layers/attention.py` are for.
"""

from __future__ import annotations

import argparse
import tempfile

import torch
from diffusers import UNet2DConditionModel
from timing import compare

from safelight.training.recipe_file import read_recipe
from safelight.unet import UNet
from safelight.weights import save_unet


def main() -> None:
    """Time both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--recipe", default="bundled")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=7)
    chosen = arguments.parse_args()
    config = read_recipe(chosen.recipe).diffusion.network
    ours = UNet(config)
    with tempfile.TemporaryDirectory() as folder:
        save_unet(folder, ours)
        theirs = UNet2DConditionModel.from_pretrained(folder).train()
    ours = ours.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    latent = torch.randn(chosen.batch, config.in_channels, config.sample_size, config.sample_size)
    timestep = torch.randint(0, 1000, (chosen.batch,))
    context = torch.randn(chosen.batch, 77, config.context_width)
    fast = latent.contiguous(memory_format=torch.channels_last)

    def our_step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = ours(fast, timestep, context)
        prediction.float().square().mean().backward()

    def their_step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = theirs(latent, timestep, encoder_hidden_states=context).sample
        prediction.float().square().mean().backward()

    compare(f"training step, batch {chosen.batch}, bfloat16", our_step, their_step, chosen.rounds)


if __name__ == "__main__":
    main()
