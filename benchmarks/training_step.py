"""A whole training step, ours beside that of diffusers' own training script: samples a second, and memory.

A step is: noise added, forward and backward in bfloat16, gradients clipped, AdamW, the moving average of the weights.
Theirs is written as in diffusers' examples/text_to_image/train_text_to_image.py. Each side has a process of its own,
for both do not fit into memory at SD 1.4's size; they take turns, in the order ours, theirs, theirs, ours.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import seconds
from torch import Tensor

from safelight.configs import ScheduleConfig, UNetConfig
from safelight.training.recipe_file import read_recipe
from safelight.unet import UNet

SHAPES: dict[str, Callable[[], UNetConfig]] = {
    "bundled": lambda: read_recipe("bundled").diffusion.network,
    "sd1": UNetConfig,
}
POSITIONS = {"bundled": 32, "sd1": 32}  # latent positions each way: both are pictures of 256 x 256 pixels
TOKENS = 77
DECAY = 0.999


def our_step(config: UNetConfig, latent: Tensor, context: Tensor) -> Callable[[], object]:
    """One step of our loop."""
    from safelight.diffusion.conditioning import Conditioning
    from safelight.training.diffusion.objective import Objective
    from safelight.training.diffusion.settings import ObjectiveConfig
    from safelight.training.engine.log import NoLog
    from safelight.training.engine.loop import take_step
    from safelight.training.engine.noise import SampleNoise
    from safelight.training.engine.settings import LoopConfig
    from safelight.training.engine.state import begin
    from safelight.training.engine.stream import Batch

    class Task:
        network = UNet(config)
        objective = Objective(ScheduleConfig(), ObjectiveConfig(snr_limit=0))

        def loss(self, batch: dict[str, Tensor], noise: SampleNoise) -> dict[str, Tensor]:
            shown = Conditioning(context=batch["context"])
            question = self.objective.question(noise, batch["latent"].shape)
            predict = lambda x, timestep: self.network(x, timestep, shown.context)  # noqa: E731
            return {"loss": self.objective.errors(predict, batch["latent"], question).mean()}

    task: Any = Task()
    loop = LoopConfig(steps=10**6, average_decay=DECAY, learning_rate=1e-5)
    state = begin(task.network, loop, {})
    state.network.train()

    def step() -> None:
        batch = Batch({"latent": latent, "context": context}, SampleNoise(0, range(len(latent))))
        take_step(task, loop, state, [batch], NoLog())

    return step


def their_step(config: UNetConfig, latent: Tensor, context: Tensor) -> Callable[[], object]:
    """One step of diffusers' script."""
    from accelerate import Accelerator
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from diffusers.training_utils import EMAModel
    from torch.nn import functional

    from safelight.weights.unet_config import write_unet_config

    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    unet = UNet2DConditionModel.from_config(write_unet_config(config)).train()
    optimiser = torch.optim.AdamW(unet.parameters(), lr=1e-5, betas=(0.9, 0.99), weight_decay=0.01)
    unet, optimiser = accelerator.prepare(unet, optimiser)
    average = EMAModel(unet.parameters(), decay=DECAY)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")

    def step() -> None:
        noise = torch.randn_like(latent)
        timestep = torch.randint(0, 1000, (len(latent),))
        noisy = scheduler.add_noise(latent, noise, timestep)
        prediction = unet(noisy, timestep, context, return_dict=False)[0]
        loss = functional.mse_loss(prediction.float(), noise.float(), reduction="mean")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.step(unet.parameters())
        loss.detach().item()

    return step


def measure(side: str, shape: str, batch: int, steps: int) -> None:
    """One side, in this process; prints one JSON object."""
    torch.manual_seed(0)
    config = SHAPES[shape]()
    latent = torch.randn(batch, config.in_channels, POSITIONS[shape], POSITIONS[shape])
    context = torch.randn(batch, TOKENS, config.context_width)
    step = {"ours": our_step, "theirs": their_step}[side](config, latent, context)
    step()
    taken = [seconds(step) for _ in range(steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": taken, "peak": peak}))


def main() -> None:
    """Both sides in turn."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shape", choices=SHAPES, default="bundled")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--steps", type=int, default=6, help="of each turn (default: %(default)s)")
    arguments.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.side:
        measure(chosen.side, chosen.shape, chosen.batch, chosen.steps)
        return
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    peaks = {"ours": 0.0, "theirs": 0.0}
    with tempfile.TemporaryDirectory() as elsewhere:
        for side in ("ours", "theirs", "theirs", "ours"):
            words = [f"--side={side}", f"--shape={chosen.shape}", f"--batch={chosen.batch}", f"--steps={chosen.steps}"]
            command = [sys.executable, str(Path(__file__).resolve()), *words]
            told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=elsewhere).stdout)
            taken[side] += told["seconds"]
            peaks[side] = max(peaks[side], told["peak"])
    rates = {side: chosen.batch / statistics.median(times) for side, times in taken.items()}
    print(
        f"training step, {chosen.shape}, batch {chosen.batch}, bfloat16:  "
        f"ours {rates['ours']:.2f} samples/s, {peaks['ours']:.1f} GiB   "
        f"diffusers {rates['theirs']:.2f} samples/s, {peaks['theirs']:.1f} GiB   "
        f"ratio {rates['ours'] / rates['theirs']:.2f}"
    )


if __name__ == "__main__":
    main()
