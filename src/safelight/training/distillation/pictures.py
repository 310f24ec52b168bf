"""What the collection gives to distillation: its pictures as latents with captions, or its captions alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from safelight.data.backdrop import is_cut_out
from safelight.data.collection import BadSample, Record, fingerprint
from safelight.training.diffusion.latents import LatentSet
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.views import View

Choice = TypeVar("Choice")


class Pictures:
    """Latents of the collection, each with one of its captions: the samples of guidance and consistency lessons."""

    def __init__(self, latents: LatentSet, records: Sequence[Record], settings: DiffusionDataConfig) -> None:
        self.latents = latents
        self.settings = settings
        self.size = len(latents.rows)
        self.fingerprint = fingerprint(records)

    @property
    def buckets(self) -> list[int] | None:
        """The number of each picture's shape; None where all have one."""
        found = self.latents
        return [found.stack(rows[0]) for rows in found.rows] if len(found.stacks) > 1 else None

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) and a caption."""
        row = self.latents.choose(index, self.settings.white_share, random)
        view = self.latents.views[row]
        return {"latent": self.latents[row], **ShownText(self.settings).entries(view, random)}


def captions_of(records: Sequence[Record], settings: DiffusionDataConfig, count: int, seed: int) -> list[str]:
    """As many captions, one of each record in turn, chosen as for training; caption n follows from seed and n alone.

    The pictures are looked at only to see which ones can lie over backgrounds.
    """
    views = [_views(record, settings.colours) for record in records[:count]]
    found = []
    for place in range(count):
        random = Random(f"{seed}/way/{place}")
        view = chosen(views[place % len(views)], random, settings.white_share)
        found.append(str(ShownText(settings).entries(view, random)["caption"]))
    return found


def chosen(views: Sequence[Choice], random: Random, usual_share: float) -> Choice:
    """The first of a picture's views in that share of the draws, else any."""
    return views[0] if random.random() < usual_share else random.choice(views)


def _views(record: Record, colours: Sequence[str]) -> list[View]:
    """Over every background where there is room for one; where the picture cannot be read, its captions still can."""
    try:
        picture = record.picture()
    except BadSample:
        return [View(record, "white", (0, 0))]
    return [View(record, colour, picture.size) for colour in (colours if is_cut_out(picture) else ("white",))]
