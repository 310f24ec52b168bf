"""What the collection gives to distillation: its pictures as latents with captions, or its captions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from safelight.data.backdrop import shows_cut_out, with_background
from safelight.data.collection import Record, fingerprint
from safelight.data.scenes import scene_with
from safelight.data.styles import styles_of
from safelight.training.diffusion.seen import Seen
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.views import View

Choice = TypeVar("Choice")


class Pictures:
    """Latents of the collection, each with one of its captions: the samples of guidance and consistency lessons."""

    def __init__(self, seen: Seen, records: Sequence[Record], settings: DiffusionDataConfig) -> None:
        self.seen = seen
        self.shown = ShownText(settings)
        self.size = len(seen)
        self.fingerprint = fingerprint(records)

    @property
    def buckets(self) -> list[int] | None:
        """The number of each picture's shape; None where all have one."""
        return self.seen.buckets

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) and a caption."""
        return self.seen.sample(index, self.shown, random)


def captions_of(records: Sequence[Record], settings: DiffusionDataConfig, count: int, seed: int) -> list[str]:
    """As many captions, one of each record in turn, chosen as for training.

    The records are in an order drawn from the seed: a collection is often sorted, and few captions should be of all its
    kinds. Caption n follows from seed and n alone.

    The pictures are looked at only to see which ones can lie over backgrounds, and in scenes.
    """
    styles, shown = styles_of(records, settings.styles), ShownText(settings)
    places = styles.order(records, settings.usual_times)
    order = [records[place] for place in Random(seed).sample(places, len(places))[:count]]
    alone = {record.key: shows_cut_out(record) for record in order}
    alike: dict[Any, list[Record]] = defaultdict(list)  # what can stand beside a thing of that style
    for record in {record.key: record for record in order if alone[record.key]}.values():
        alike[record.fields.get("style")].append(record)
    found = []
    for place in range(count):
        random = Random(f"{seed}/way/{place}")
        record = order[place % len(order)]
        colour = chosen(settings.colours if alone[record.key] else ("white",), random, settings.white_share)
        others = [other for other in alike[record.fields.get("style")] if other.key != record.key]
        if alone[record.key] and others and random.random() < settings.scene_share:
            found.append(with_background(scene_with(record, others, styles, random).caption, colour))
        else:
            view = View(styles.captioned(record), colour, (0, 0))
            found.append(str(shown.entries(view, random)["caption"]))
    return found


def chosen(views: Sequence[Choice], random: Random, usual_share: float) -> Choice:
    """The first of a picture's views in that share of the draws, else any."""
    return views[0] if random.random() < usual_share else random.choice(views)
