"""Pictures that a model has drawn anew: noise is put over a picture's latent, and the model takes it away (SDEdit).

Meng et al. 2022: from little noise the same picture comes back, painted by the model's own hand. That is what a decoder
is given in use, and what it never saw when it learnt beside the encoder: surfaces that are a little uneven, colours
that are a little off, edges that are a little soft; here with the picture that was meant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from safetensors.torch import load_file
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.denoiser import as_denoiser
from safelight.diffusion.samplers import SAMPLERS
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.training.decoder.settings import DecoderConfig
from safelight.training.diffusion.latents import LatentSet
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.diffusion.texts import TextCache
from safelight.training.engine.noise import SampleNoise
from safelight.training.prepared import prepare
from safelight.weights import Parts


@dataclass(frozen=True)
class Redrawn:
    """rows: of the latent set, those that were redrawn, in turn. latents: (n, c, h, w), bfloat16, scaled."""

    rows: Sequence[int]
    latents: Sequence[Tensor]

    def __len__(self) -> int:
        return len(self.rows)


def redrawn(
    parts: Parts,
    own: LatentSet,
    among: Sequence[int],
    white_share: float,
    settings: DecoderConfig,
    fingerprint: str,
    folder: Path,
) -> Redrawn:
    """So many redrawn latents of the records at the places `among`, in turn, kept in the `folder`.

    Which view of a record, by which of its captions and from how much noise follows from the number alone.
    fingerprint: a hash of the model. Raises BadInput where there is nothing to redraw, or the disk refuses.
    """
    count = settings.redrawn
    if count and not among:
        raise BadInput(f"decoder.redrawn_where is {dict(settings.redrawn_where)}; none of the training pictures is so.")
    order = Random(0).sample(among, len(among))
    randoms = [Random(f"redrawn/{number}") for number in range(count)]
    rows = [own.choose(order[number % len(order)], white_share, randoms[number]) for number in range(count)]
    captions = [random.choice(own.views[row].captions) for random, row in zip(randoms, rows, strict=True)]
    made_of = hashlib.sha256(
        json.dumps([fingerprint, settings.cleanest, settings.noisiest, settings.steps, captions]).encode()
    )
    for row in rows:
        made_of.update(own[row].float().numpy().tobytes())
    read = TextCache(*parts.reader)

    def draw(places: range) -> dict[str, Tensor]:
        timestep = Random(f"level/{places.start}").uniform(settings.cleanest, settings.noisiest)
        latent = torch.stack([own[rows[place]] for place in places]).float()
        noise = SampleNoise(0, places).normal(*latent.shape[1:])
        context = read([captions[place] for place in places])
        return {"latents": redraw(parts, latent, noise, context, timestep, settings.steps).to(torch.bfloat16)}

    files = prepare(folder, count, made_of.hexdigest(), draw, "redrawn")
    return Redrawn(rows, [latent for file in files for latent in load_file(file)["latents"]])


@torch.no_grad()
def redraw(parts: Parts, latent: Tensor, noise: Tensor, context: Tensor, timestep: float, steps: int) -> Tensor:
    """Latents (b, c, h, w) under noise up to that timestep, drawn again by DDIM in so many equal steps.

    noise: (b, c, h, w), of variance 1. context: (b, n, d), what the UNet reads.
    """
    device = next(parts.unet.parameters()).device
    schedule, shown = Schedule(parts.schedule), Conditioning(context=context.to(device))

    def predict(x: Tensor, at: Tensor) -> Tensor:
        return unet_prediction(parts, x, at, shown).float()

    levels = schedule.sigma(torch.linspace(timestep, 0, steps + 1)[:-1])
    sigmas = torch.cat([levels, torch.zeros(1)]).float()
    x = (latent + sigmas[0] * noise).to(device)
    *_, last = SAMPLERS["ddim"](as_denoiser(predict, schedule), x, sigmas, lambda: torch.zeros_like(x))
    return last.latent
