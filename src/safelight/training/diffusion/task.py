"""Stage three: the UNet learns to see through noise (Ho et al. 2020, Algorithm 1; Rombach et al. 2022, equation 3).

Autoencoder and text encoder are frozen; their outputs are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.utils.data import default_collate

from safelight.configs import ScheduleConfig, UNetConfig
from safelight.data.collection import Record, check_captions, fingerprint, split_up
from safelight.errors import BadInput
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.text import Tokenizer
from safelight.training.diffusion.latents import LatentSet, latent_set
from safelight.training.diffusion.learner import Learner, WholeUNet
from safelight.training.diffusion.objective import Objective, Question
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.shown import Shown, ShownText
from safelight.training.engine.noise import SampleNoise
from safelight.unet import UNet
from safelight.weights import Parts, check_fit, load_autoencoder, load_clip

HELD_OUT = 256
EVALUATED_AT_ONCE = 32


def parts_to_train(
    autoencoder: Path, clip: Path, config: UNetConfig, schedule: ScheduleConfig, device: str = "cpu"
) -> Parts:
    """What the first two stages left in the folders of their runs, with a new UNet.

    Raises BadInput where a stage has not come to its end, BadCheckpoint where the parts do not fit together.
    """
    for stage, run, folder in (("autoencoder", autoencoder, "vae"), ("clip", clip, "clip")):
        if not (run / folder / "config.json").is_file():
            raise BadInput(
                f"{str(run)!r} is no finished run of `safelight train {stage}`: it has no folder {folder!r}; "
                f"`safelight train {stage} --out {run} ...` makes it."
            )
    place = placement_for(device, None).device
    first = load_autoencoder(autoencoder / "vae", torch.float32).to(place).eval()
    text = load_clip(clip / "clip", torch.float32).text.to(place).eval()
    parts = Parts(
        tokenizer=Tokenizer.load(clip / "tokenizer"),
        text_encoder=text,
        unet=UNet(config),
        autoencoder=first,
        schedule=schedule,
    )
    check_fit(parts)
    return parts


class DiffusionTask:
    """A noise predictor with its latents and what it is shown; see `training.engine.task.Task`.

    cache: the folder that keeps the latents.
    """

    def __init__(
        self,
        learner: Learner,
        shown: Shown,
        objective: ObjectiveConfig,
        data: DiffusionDataConfig,
        records: list[Record],
        cache: Path,
    ) -> None:
        training, held_out = split_up(records)
        self.learner = learner
        self.shown = shown
        self.data = data
        self.objective = Objective(learner.parts.schedule, objective)
        self.size = len(training)
        self.fingerprint = fingerprint(training)
        self.seen = self._encode(training, cache / "latents-train.safetensors")
        self.unseen = self._encode(held_out[:HELD_OUT], cache / "latents-val.safetensors") if held_out else None

    @property
    def network(self) -> nn.Module:
        """What learns."""
        return self.learner.network

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with what is shown beside it."""
        rows = self.seen.rows[index]
        row = rows[0] if random.random() < self.data.white_share else random.choice(rows)
        return {"latent": self.seen.latents[row], **self.shown.entries(self.seen.views[row], random)}

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The weighted squared error of the prediction, at random levels."""
        question = self.objective.question(noise, batch["latent"].shape)
        return {"loss": self._errors(batch, question).mean()}

    def evaluate(self) -> dict[str, float]:
        """The loss of held-out (unseen pictures) and of training latents, always on the same noise and levels."""
        figures = {}
        for name, latents in (("seen", self.seen), ("unseen", self.unseen)):
            if latents is not None:
                figures[f"loss_{name}"] = self._fixed_loss(latents)
        return figures

    def sheet(self) -> Image.Image | None:
        """One picture for each prompt of the configuration, the same seeds each time."""
        if not self.data.prompts:
            return None
        placement = placement_for(self._device, "float32")
        return grid(Pipeline(self.learner.parts, placement=placement)(list(self.data.prompts), seed=0).images)

    def export(self, folder: Path) -> None:
        """Write what was learnt."""
        self.learner.export(folder)

    def _fixed_loss(self, latents: LatentSet) -> float:
        generator = Generator().manual_seed(0)
        rows = torch.randperm(len(latents.latents), generator=generator)[:HELD_OUT]
        losses = []
        for part in rows.split(EVALUATED_AT_ONCE):
            entries = [self.shown.fixed_entries(latents.views[row]) for row in part.tolist()]
            timestep = torch.randint(0, self.objective.schedule.levels, (len(part),), generator=generator)
            noise = torch.randn(latents.latents[part].shape, generator=generator)
            batch = {"latent": latents.latents[part], **default_collate(entries)}
            losses.append(self._errors(batch, Question(timestep, noise)))
        return float(torch.cat(losses).mean())

    def _errors(self, batch: Mapping[str, Any], question: Question) -> Tensor:
        """The loss (b,) of each sample."""
        shown = self.shown.conditioning(batch, self.learner)
        latent = batch["latent"].to(self._device).float()
        return self.objective.errors(lambda x, t: self.learner.predict(x, t, shown), latent, question)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _encode(self, records: list[Record], cache: Path) -> LatentSet:
        parts = self.learner.parts
        side = parts.unet.config.sample_size * parts.autoencoder.config.factor
        return latent_set(records, parts.autoencoder, size=side, colours=self.data.colours, cache=cache)


def text_to_image_task(
    parts: Parts, objective: ObjectiveConfig, data: DiffusionDataConfig, records: list[Record], cache: Path
) -> DiffusionTask:
    """The task of a new UNet that draws from text."""
    check_captions(records)
    return DiffusionTask(WholeUNet(parts), ShownText(data), objective, data, records, cache)
