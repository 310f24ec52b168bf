"""Stage one: an autoencoder learns to give pictures back (Rombach et al. 2022, section 3.1).

The loss is the error of the pixels and of their differences to neighbours (`reconstruction`), what the eye sees beyond
that (`perceptual`) and the contest with a discriminator (`contest`), all in `comparison`; and what the latent costs
(`coding`).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch import Tensor

from safelight.autoencoder import Autoencoder, Codebook
from safelight.configs import AutoencoderConfig
from safelight.data.backdrop import on_colour, on_random_colour, to_square
from safelight.data.collection import BadSample, Record, fingerprint, some_of, split_up
from safelight.evaluation.features import open_features
from safelight.images import to_picture, to_tensor
from safelight.training.autoencoder.coding import begin_among_latents, coded
from safelight.training.autoencoder.comparison import Comparison
from safelight.training.autoencoder.figures import reconstruction_figures
from safelight.training.autoencoder.pictures import EVALUATED, by_kind, judged, readable
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.engine.noise import SampleNoise
from safelight.weights import save_autoencoder
from safelight.weights.empty import without_weights

SHOWN = 6  # of each kind, on a sheet
FIRST_LOG_VARIANCE = -5.0  # latents start nearly free of noise: from 0 the first thousand steps go into getting there


class AutoencoderTask:
    """The autoencoder with its pictures, and the discriminator where there is one; see `engine.task.Task`."""

    def __init__(self, config: AutoencoderConfig, loss: AutoencoderLossConfig, records: list[Record]) -> None:
        self.training, self.kept_back = split_up(records)
        self.settings = loss
        self.judge = open_features(loss.judge, torch.device("cpu")) if loss.judge else None
        self.autoencoder = new_autoencoder(config)
        self.comparison = Comparison(loss)
        self.network = self.comparison.learning_with(self.autoencoder, "autoencoder")
        self.size = len(self.training)
        self.fingerprint = fingerprint(self.training)
        self.kinds = [kind for kind in reversed(by_kind(self.training).values()) if kind]  # drawings, then photos
        if self.autoencoder.codebook is not None:
            self._begin_codebook(self.autoencoder.codebook)

    @cached_property
    def held_out(self) -> dict[str, list[Record]]:
        """The pictures that figures are of, by kind."""
        return judged(self.kept_back)

    @cached_property
    def examples(self) -> dict[str, list[Record]]:
        """What sheets show and the latents' scale is measured on: training pictures only where none is held out."""
        count = EVALUATED["illustration"]
        return self.held_out or {"any": readable(some_of(self.training, count), count)}

    def sample(self, index: int, random: Random) -> Tensor:
        """A random crop (3, crop, crop) in [-1, 1]."""
        picture = to_square(self._record(index, random).picture(), self.settings.size)
        room = self.settings.size - self.settings.crop
        left, top = random.randint(0, room), random.randint(0, room)
        part = picture.crop((left, top, left + self.settings.crop, top + self.settings.crop))
        tensor = to_tensor(on_random_colour(part, random))
        return tensor.flip(-1) if random.random() < 0.5 else tensor

    def loss(self, batch: Tensor, noise: SampleNoise) -> dict[str, Tensor]:
        """Images (b, 3, h, w) -> the terms of the loss; those of the discriminator once it has begun."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        back = coded(self.autoencoder, batch, noise, self.settings)
        last_layer = self.autoencoder.decoder.conv_out.weight
        return self.comparison.terms(back.reconstruction, batch, last_layer, noise.step, back.cost) | back.figures

    def evaluate(self) -> dict[str, float]:
        """Figures of whole held-out pictures on white, illustrations and photos apart."""
        pictures = {kind: map(self._whole, records) for kind, records in self.held_out.items()}
        return reconstruction_figures(self.autoencoder, pictures, self.judge)

    def sheet(self) -> Image.Image:
        """Pictures above, their reconstructions below."""
        images = [self._whole(record) for records in self.examples.values() for record in records[:SHOWN]]
        both = [torch.cat([image, self.autoencoder(image).float()], dim=2) for image in images]
        return to_picture(torch.cat(both, dim=3)[0])

    def export(self, folder: Path) -> None:
        """Write the autoencoder, with its latents brought to unit variance, into `folder/vae`."""
        with without_weights():
            left = Autoencoder(self.autoencoder.config)
        # The same weights in modules of their own: those that several processes share cannot be run here.
        left.load_state_dict(dict(self.autoencoder.named_parameters()), assign=True)
        left.config = replace(left.config, scale=self._scale(left))
        save_autoencoder(folder / "vae", left)

    @torch.no_grad()
    def _scale(self, autoencoder: Autoencoder) -> float:
        """One over the standard deviation of the examples' latents (Rombach et al. 2022, appendix G)."""
        records = [record for records in self.examples.values() for record in records]
        latents = [autoencoder.encode(self._whole(record)).mean.flatten() for record in records]
        return round(float(1 / torch.cat(latents).std().clamp_min(1e-4)), 5)

    def _begin_codebook(self, codebook: Codebook) -> None:
        """From crops that together have as many positions in their latents as there are entries."""
        positions = (self.settings.crop // self.autoencoder.config.factor) ** 2
        crops = []
        for number in range(math.ceil(self.autoencoder.config.codes / positions)):
            random = Random(f"codebook/{number}")
            with suppress(BadSample):  # the loop meets those again, and counts and tells them
                crops.append(self.sample(random.randrange(self.size), random))
        if crops:
            begin_among_latents(self.autoencoder, codebook, torch.stack(crops))

    def _record(self, index: int, random: Random) -> Record:
        """The one of that index; where photos lie among drawings, any of the kind whose turn it is."""
        if len(self.kinds) == 1:
            return self.training[index]
        return random.choice(self.kinds[-1] if random.random() < self.settings.photo_share else self.kinds[0])

    def _whole(self, record: Record) -> Tensor:
        picture = on_colour(to_square(record.picture(), self.settings.size), (255, 255, 255))
        device = next(self.autoencoder.parameters()).device
        return to_tensor(picture)[None].to(device, memory_format=torch.channels_last)


def new_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """An untrained autoencoder with little noise in its latents."""
    network = Autoencoder(config)
    bias = getattr(network.moments, "bias", None)
    if bias is not None:
        torch.nn.init.constant_(bias.data[config.latent_channels :], FIRST_LOG_VARIANCE)
    return network
