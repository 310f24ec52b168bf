"""Stage three: the UNet learns to see through noise (Ho et al. 2020, Algorithm 1; Rombach et al. 2022, equation 3).

Autoencoder and text encoder are frozen; their outputs are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Generator, Tensor

from safelight.configs import ScheduleConfig, UNetConfig
from safelight.data.collection import Record, check_captions, fingerprint, split_up
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.text import Tokenizer
from safelight.training.diffusion.latents import LatentSet, latent_set
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.engine.noise import SampleNoise
from safelight.unet import UNet
from safelight.weights import Parts, check_fit, load_autoencoder, load_clip, save_folder
from safelight.weights.parts import AnyTextEncoder, AnyTokenizer

HELD_OUT = 256
EVALUATED_AT_ONCE = 32
KEPT_TEXTS = 8192  # of the captions' hidden states, 40 kB each at 77 x 256


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


class TextCache:
    """Hidden states of captions, each computed once, alone, so that they do not depend on the batch they came in."""

    def __init__(self, tokenizer: AnyTokenizer, encoder: AnyTextEncoder) -> None:
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.kept: dict[str, Tensor] = {}

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """(b, n, width), on the device of the text encoder."""
        return torch.stack([self._hidden(caption) for caption in captions]).float()

    @torch.no_grad()
    def _hidden(self, caption: str) -> Tensor:
        if caption not in self.kept:
            if len(self.kept) >= KEPT_TEXTS:
                self.kept.clear()
            ids = self.tokenizer([caption]).ids.to(next(self.encoder.parameters()).device)
            self.kept[caption] = self.encoder(ids)[0].to(torch.bfloat16)
        return self.kept[caption]


class DiffusionTask:
    """The UNet with its latents and captions; see `training.task.Task`. Of `parts`, only the UNet is trained.

    cache: the folder that keeps the latents.
    """

    def __init__(self, parts: Parts, data: DiffusionDataConfig, records: list[Record], cache: Path) -> None:
        check_captions(records)
        training, held_out = split_up(records)
        self.parts = parts
        self.network = parts.unet
        self.data = data
        self.schedule = Schedule(parts.schedule)
        self.texts = TextCache(*parts.reader)
        self.size = len(training)
        self.fingerprint = fingerprint(training)
        self.seen = self._encode(training, cache / "latents-train.safetensors")
        self.unseen = self._encode(held_out[:HELD_OUT], cache / "latents-val.safetensors") if held_out else None
        self.views: dict[int, list[int]] = {}  # of each record, the rows of its latents
        for row, place in enumerate(self.seen.sources):
            self.views.setdefault(place, []).append(row)

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) and one of its captions, sometimes an empty one."""
        rows = self.views[index]
        row = rows[0] if random.random() < self.data.white_share else random.choice(rows)
        captions = self.seen.captions[row]
        caption = captions[0] if random.random() < self.data.first_caption_share else random.choice(captions)
        if random.random() < self.data.caption_dropout:
            caption = ""
        return {"latent": self.seen.latents[row], "caption": caption}

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The weighted squared error of the prediction, at random levels."""
        uniform = noise.uniform()
        timestep = (
            (self.schedule.levels * uniform ** (1 / self.data.level_skew)).long().clamp(max=self.schedule.levels - 1)
        )
        added = noise.normal(*batch["latent"].shape[1:])
        return {"loss": self._errors(batch["latent"], batch["caption"], timestep, added).mean()}

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
        return grid(Pipeline(self.parts, placement=placement)(list(self.data.prompts), seed=0).images)

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`, in the diffusers layout."""
        save_folder(folder / "model", self.parts)

    def weight(self, timestep: Tensor) -> Tensor:
        """Min-SNR weights (b,): the error of the clean estimate counts min(SNR, limit) times (Hang et al. 2023)."""
        if not self.data.snr_limit:
            return torch.ones_like(timestep, dtype=torch.float32)
        alpha_bar = self.schedule.alpha_bar.to(timestep.device)[timestep].clamp(1e-6, 1 - 1e-6)
        snr = alpha_bar / (1 - alpha_bar)
        per_unit = {"epsilon": snr, "v": snr + 1, "x0": torch.ones_like(snr)}[self.schedule.config.prediction]
        return snr.clamp(max=self.data.snr_limit) / per_unit

    def _fixed_loss(self, latents: LatentSet) -> float:
        generator = Generator().manual_seed(0)
        rows = torch.randperm(len(latents.latents), generator=generator)[:HELD_OUT]
        losses = []
        for part in rows.split(EVALUATED_AT_ONCE):
            captions = [latents.captions[row][0] for row in part.tolist()]
            timestep = torch.randint(0, self.schedule.levels, (len(part),), generator=generator)
            noise = torch.randn(latents.latents[part].shape, generator=generator)
            losses.append(self._errors(latents.latents[part], captions, timestep, noise))
        return float(torch.cat(losses).mean())

    def _errors(self, latent: Tensor, captions: Sequence[str], timestep: Tensor, noise: Tensor) -> Tensor:
        """The loss (b,) of each latent (b, c, h, w) at its timestep (b,), with that noise (b, c, h, w)."""
        timestep, noise = timestep.to(self._device), noise.to(self._device)
        latent = latent.to(self._device).float()
        noisy = self.schedule.add_noise(latent, noise, timestep).contiguous(memory_format=torch.channels_last)
        prediction = self.network(noisy, timestep, self.texts(captions).to(self._device)).float()
        target = self.schedule.target(latent, noise, timestep)
        return self.weight(timestep) * (prediction - target).square().flatten(1).mean(1)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _encode(self, records: list[Record], cache: Path) -> LatentSet:
        side = self.network.config.sample_size * self.parts.autoencoder.config.factor
        return latent_set(records, self.parts.autoencoder, size=side, colours=self.data.colours, cache=cache)
