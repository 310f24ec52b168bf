"""A collection as it is seen in training: single things, each in its styles and its views, and scenes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from safelight.data.collection import some_of
from safelight.data.record import Record
from safelight.data.scenes import SIZES
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.training.diffusion.latents import LatentSet, latent_set
from safelight.training.diffusion.scenes import Scenes, empty_latents
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.shown import Shown
from safelight.training.diffusion.views import Framing
from safelight.weights.parts import AnyAutoencoder

HELD_OUT = 256  # pictures that are kept for figures


class Seen:
    """The latents of training records and of held-out ones, and the samples of the former.

    cache: the folder that keeps the latents. Raises BadInput where scenes are asked for and cannot be made.
    """

    def __init__(
        self,
        training: Sequence[Record],
        held_out: Sequence[Record],
        autoencoder: AnyAutoencoder,
        framing: Framing,
        data: DiffusionDataConfig,
        cache: Path,
    ) -> None:
        styles = styles_of(training, data.styles)
        self.data = data
        named = [styles.captioned(record) for record in training]
        self.latents = latent_set(named, autoencoder, framing, cache / "latents-train.safetensors")
        self.unseen: LatentSet | None = None
        if held_out:
            named = [styles.captioned(record) for record in some_of(held_out, HELD_OUT)]
            self.unseen = latent_set(named, autoencoder, framing, cache / "latents-val.safetensors")
        readable = [self.latents.views[rows[0]].record for rows in self.latents.rows]
        self.order = styles.order(readable, data.usual_times)
        self.scenes: Scenes | None = None
        if data.scene_share:
            things = {
                size: latent_set(training, autoencoder, smaller, cache / f"latents-{size}-of-16.safetensors")
                for size, smaller in smaller_framings(framing, autoencoder.config.factor).items()
            }
            self.scenes = Scenes(things, empty_latents(autoencoder, data.colours, framing.sizes[0]), styles)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def buckets(self) -> list[int] | None:
        """The number of each sample's shape; None where all have one."""
        found = self.latents
        return [found.stack(found.rows[place][0]) for place in self.order] if len(found.stacks) > 1 else None

    def sample(self, index: int, shown: Shown, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with what is shown beside it."""
        if self.scenes and random.random() < self.data.scene_share:
            return self.scenes.sample(random, self.data.white_share, self.data.caption_dropout)
        row = self.latents.choose(self.order[index], self.data.white_share, random)
        return {"latent": self.latents[row], **shown.entries(self.latents.views[row], random)}


def smaller_framings(framing: Framing, factor: int) -> dict[int, Framing]:
    """Cut-out pictures at each size that things have in scenes, by their sixteenths; whole, and never in a mirror.

    Raises BadInput where these are no whole numbers of latent positions.
    """
    ((width, height),) = framing.sizes
    if width % (16 * factor) or height % (16 * factor):
        raise BadInput(f"Scenes need pictures whose sides are multiples of {16 * factor} pixels, not {width}x{height}.")
    return {
        size: dataclasses.replace(
            framing, sizes=[(width * size // 16, height * size // 16)], cut_outs=True, flip=False, cuts=1
        )
        for size in SIZES
    }
