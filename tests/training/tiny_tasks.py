"""The three tasks with networks that learn in milliseconds, and a task of one convolution to watch the loop with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig, ImageEncoderConfig, ScheduleConfig, TextEncoderConfig, UNetConfig
from safelight.data.backdrop import COLOURS, with_background
from safelight.data.collection import Record
from safelight.text import TextEncoder, Tokenizer
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.autoencoder.task import AutoencoderTask
from safelight.training.clip.settings import ClipDataConfig, ClipLossConfig
from safelight.training.clip.task import ClipTask
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.task import DiffusionTask, task_of_model
from safelight.training.engine.checkpoint import checkpoints, load_checkpoint
from safelight.training.engine.loop import train
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.settings import LoopConfig
from safelight.unet import UNet
from safelight.weights import Parts
from tests.data.shapes import SIDE, records

AUTOENCODER = AutoencoderConfig(channels=(8, 16), blocks_per_level=1, groups=4)
TEXT = TextEncoderConfig(length=12, width=16, hidden_width=32, layers=1, heads=2, projection_width=16)
IMAGE = ImageEncoderConfig(size=SIDE, patch=8, width=16, hidden_width=32, layers=1, heads=2, projection_width=16)
UNET = UNetConfig(
    channels=(8, 16),
    blocks_per_level=1,
    attention=("none", "cross"),
    heads=(1, 2),
    context_width=16,
    groups=4,
    sample_size=SIDE // 2,
)


def tokenizer() -> Tokenizer:
    """Of the captions of the shapes, over all backgrounds."""
    captions = [with_background(caption, name) for one in records() for caption in one.captions for name in COLOURS]
    return Tokenizer.train(captions, size=1000, length=12)


def autoencoder_task(folder: Path, found: list[Record] | None = None, **loss: Any) -> AutoencoderTask:
    """Stage one."""
    torch.manual_seed(0)
    settings = AutoencoderLossConfig(**{"size": SIDE, "crop": SIDE // 2, **loss})
    return AutoencoderTask(AUTOENCODER, settings, found or records("none"))


def clip_task(
    folder: Path, found: list[Record] | None = None, loss: ClipLossConfig | None = None, **data: Any
) -> ClipTask:
    """Stage two."""
    torch.manual_seed(0)
    settings = ClipDataConfig(**data), loss or ClipLossConfig()
    return ClipTask(TEXT, IMAGE, *settings, found or records("none"), tokenizer())


def parts(prediction: Any = "v") -> Parts:
    """Random weights for stage three."""
    torch.manual_seed(0)
    words = tokenizer()
    text = TextEncoder(TextEncoderConfig(**{**vars(TEXT), "vocabulary": len(words.vocabulary)}))
    return Parts(
        tokenizer=words,
        text_encoder=text.eval(),
        unet=UNet(UNET),
        autoencoder=Autoencoder(AUTOENCODER).eval(),
        schedule=ScheduleConfig(prediction=prediction),
    )


def diffusion_task(folder: Path, found: list[Record] | None = None, **data: Any) -> DiffusionTask:
    """Stage three."""
    settings = DiffusionDataConfig(**{"colours": ("white", "blue"), **data})
    return task_of_model(parts(), ObjectiveConfig(), settings, found or records("none"), folder)


TASKS: dict[str, Callable[..., Any]] = {
    "autoencoder": autoencoder_task,
    "clip": clip_task,
    "diffusion": diffusion_task,
}


class PlainTask:
    """One convolution that learns to give back what it gets, noise added."""

    def __init__(self, size: int = 10, channels: int = 3) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(2, channels, 3, padding=1), nn.Conv2d(channels, 2, 3, padding=1))
        self.size = size
        self.fingerprint = f"{size} plain ones"
        self.seen: list[int] = []
        self.exported: dict[str, Tensor] = {}

    def sample(self, index: int, random: Random) -> Tensor:
        self.seen.append(index)
        return torch.full((2, 4, 4), index / self.size + random.random())

    def loss(self, batch: Tensor, noise: SampleNoise) -> dict[str, Tensor]:
        noisy = batch + 0.1 * noise.normal(*batch.shape[1:])
        error = (self.network(noisy).float() - batch).square().mean()
        return {"loss": error, "double": 2 * error}

    def evaluate(self) -> dict[str, float]:
        assert not self.network.training
        return {"first": float(next(self.network.parameters()).flatten()[0])}

    def sheet(self) -> Image.Image | None:
        return Image.new("RGB", (4, 4), "red")

    def export(self, folder: Path) -> None:
        self.exported = {name: value.detach().clone() for name, value in self.network.named_parameters()}


def loop_config(**changes: Any) -> LoopConfig:
    """Eight steps in single precision; nothing is saved before the end."""
    usual = {"steps": 8, "batch_size": 4, "learning_rate": 1e-3, "warmup": 2, "precision": "fp32"}
    return LoopConfig(**{**usual, "save_every": 100, "evaluate_every": 100, **changes})


def run(task: Any, config: LoopConfig, folder: Path, stop: int = 10**9) -> list[Any]:
    """Turn the loop to the end, or close it after step `stop`."""
    steps, taken = train(task, config, folder), []
    for step in steps:
        taken.append(step)
        if step.step == stop:
            steps.close()
    return taken


def stored(folder: Path) -> dict[str, Tensor]:
    """All tensors of a run's newest checkpoint."""
    return load_checkpoint(checkpoints(folder / "checkpoints")[-1])[0]


def check_resumes(task_in: Callable[[Path], Any], config: LoopConfig, folder: Path, stop: int) -> None:
    """A run that was interrupted after step `stop` ends as one that was not."""
    run(task_in(folder / "whole"), config, folder / "whole")
    run(task_in(folder / "broken"), config, folder / "broken", stop=stop)
    run(task_in(folder / "broken"), config, folder / "broken")
    whole, broken = stored(folder / "whole"), stored(folder / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(tensor, broken[name]) for name, tensor in whole.items())
