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
from safelight.diffusion.schedule import Schedule
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.text import Tokenizer
from safelight.training.collection import Record, of_split
from safelight.training.latents import latent_set
from safelight.training.settings import DiffusionDataConfig
from safelight.unet import UNet
from safelight.weights import Parts, check_fit, load_autoencoder, load_clip, save_folder

HELD_OUT = 256
KEPT_TEXTS = 8192  # of the captions' hidden states, 40 kB each at 77 x 256


def parts_to_train(autoencoder: Path, clip: Path, config: UNetConfig, schedule: ScheduleConfig) -> Parts:
    """What the first two stages left in the folders of their runs, with a new UNet."""
    first = load_autoencoder(autoencoder / "vae", torch.float32)
    tokenizer, text = Tokenizer.load(clip / "tokenizer"), load_clip(clip / "clip", torch.float32).text
    parts = Parts(tokenizer, text.eval(), UNet(config), first.eval(), schedule)
    check_fit(parts)
    return parts


class DiffusionTask:
    """The UNet with its latents and captions; see `training.loop.Task`. Of `parts`, only the UNet is trained."""

    def __init__(self, parts: Parts, data: DiffusionDataConfig, records: list[Record], cache: Path) -> None:
        self.parts = parts
        self.network = parts.unet
        self.data = data
        self.schedule = Schedule(parts.schedule)
        self.side = parts.unet.config.sample_size * parts.autoencoder.config.factor
        training, held_out = of_split(records, "train"), of_split(records, "val")
        self.training = self._encode(training, cache / "latents-train.safetensors")
        self.held_out = self._encode(held_out[:HELD_OUT], cache / "latents-val.safetensors") if held_out else None
        self.views: dict[int, list[int]] = {}
        for row, place in enumerate(self.training.sources):
            self.views.setdefault(place, []).append(row)
        self.size = len(training)
        self.texts: dict[str, Tensor] = {}

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) and one of its captions, sometimes an empty one."""
        rows = self.views[index]
        row = rows[0] if random.random() < self.data.white_share else random.choice(rows)
        caption = random.choice(self.training.captions[row])
        if random.random() < self.data.caption_dropout:
            caption = ""
        return {"latent": self.training.latents[row], "caption": caption}

    def loss(self, batch: dict[str, Any], generator: Generator) -> dict[str, Tensor]:
        """The weighted squared error of the prediction, at random levels."""
        latent = batch["latent"].float()
        timestep = torch.randint(0, self.schedule.levels, (len(latent),), generator=generator)
        noise = torch.randn(latent.shape, generator=generator)
        loss = self._errors(latent, timestep.to(latent.device), noise.to(latent.device), batch["caption"]).mean()
        return {"loss": loss}

    def evaluate(self) -> dict[str, float]:
        """The loss of held-out (unseen pictures) and of training latents, always on the same noise and levels."""
        figures = {}
        for name, latents in (("seen", self.training), ("unseen", self.held_out)):
            if latents is None:
                continue
            device = next(self.network.parameters()).device
            generator = Generator().manual_seed(0)
            rows = torch.randperm(len(latents.latents), generator=generator)[:HELD_OUT]
            losses = []
            for part in rows.split(32):
                latent = latents.latents[part].float()
                timestep = torch.randint(0, self.schedule.levels, (len(part),), generator=generator)
                noise = torch.randn(latent.shape, generator=generator)
                captions = [latents.captions[row][0] for row in part.tolist()]
                losses.append(self._errors(latent.to(device), timestep.to(device), noise.to(device), captions))
            figures[f"loss_{name}"] = float(torch.cat(losses).mean())
        return figures

    def sheet(self) -> Image.Image | None:
        """One picture for each prompt of the configuration, the same seeds each time."""
        if not self.data.prompts:
            return None
        return grid(Pipeline(self.parts)(list(self.data.prompts), seed=0).images)

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`, in the diffusers layout."""
        save_folder(folder / "model", self.parts)

    def _errors(self, latent: Tensor, timestep: Tensor, noise: Tensor, captions: Sequence[str]) -> Tensor:
        noisy = self.schedule.add_noise(latent, noise, timestep).contiguous(memory_format=torch.channels_last)
        prediction = self.network(noisy, timestep, self._context(captions, latent.device)).float()
        target = self.schedule.target(latent, noise, timestep)
        return self.weight(timestep) * (prediction - target).square().flatten(1).mean(1)

    def weight(self, timestep: Tensor) -> Tensor:
        """Min-SNR weights (b,): the error of the clean estimate counts min(SNR, limit) times (Hang et al. 2023)."""
        if not self.data.snr_limit:
            return torch.ones_like(timestep, dtype=torch.float32)
        alpha_bar = self.schedule.alpha_bar.to(timestep.device)[timestep].clamp(1e-6, 1 - 1e-6)
        snr = alpha_bar / (1 - alpha_bar)
        per_unit = {"epsilon": snr, "v": snr + 1, "x0": torch.ones_like(snr)}[self.schedule.config.prediction]
        return snr.clamp(max=self.data.snr_limit) / per_unit

    def _context(self, captions: Sequence[str], device: torch.device) -> Tensor:
        missing = [caption for caption in dict.fromkeys(captions) if caption not in self.texts]
        if len(self.texts) + len(missing) > KEPT_TEXTS:
            self.texts.clear()
            missing = list(dict.fromkeys(captions))
        if missing:
            with torch.no_grad():
                hidden = self.parts.text_encoder(self.parts.tokenizer(missing).ids)
            self.texts |= dict(zip(missing, hidden.to(torch.bfloat16), strict=True))
        return torch.stack([self.texts[caption] for caption in captions]).to(device)

    def _encode(self, records: list[Record], cache: Path) -> Any:
        return latent_set(records, self.parts.autoencoder, size=self.side, colours=self.data.colours, cache=cache)
