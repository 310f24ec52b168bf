"""Whether a model draws its training pictures again: how near the nearest is, beside how near held-out ones are.

Nearness is the root mean square of the difference of two pictures at 32 x 32 pixels, on the same background. A drawn
picture counts as a copy where it is nearer to a training picture than all but 5 % of the held-out pictures are: a model
that copies nothing is found to copy 5 %. It needs no judge that was trained, and sees no copy that is moved or turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from safelight.data.backdrop import COLOURS, on_colour, to_square
from safelight.data.collection import BadSample, Record
from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import mean, share
from safelight.evaluation.nearest import nearest
from safelight.evaluation.pictures import Pictures
from safelight.images import to_tensor

SIDE = 32  # pixels
JUDGE = f"pixels {SIDE} x {SIDE}"
USUAL = 0.05  # share of the held-out pictures that are so near


class TrainingPictures:
    """Training pictures at 32 x 32 pixels, read once, laid over any background."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records: list[Record] = []
        self.small: list[Image.Image] = []
        for record in records:
            with suppress(BadSample):  # which training left out as well
                self.small.append(to_square(record.picture(), SIDE))
                self.records.append(record)

    def over(self, background: str) -> Tensor:
        """All of them on the background of that name: (n, 3, 32, 32)."""
        return torch.stack([to_tensor(on_colour(picture, COLOURS[background])) for picture in self.small])


@dataclass(frozen=True)
class Nearest:
    """For each picture, how far the nearest training picture is (n,), and which one that is (n,)."""

    distance: Tensor
    row: Tensor


def nearest_training(pictures: Pictures, training: TrainingPictures) -> Nearest:
    """The nearest training picture of each, on the background that each lies on; raises BadInput without any."""
    backgrounds = [pictures.backdrop(record) for record in pictures.records]
    distance = torch.zeros(len(backgrounds), dtype=torch.float64)
    row = torch.zeros(len(backgrounds), dtype=torch.int64)
    for background in sorted(set(backgrounds)):
        places = [place for place, name in enumerate(backgrounds) if name == background]
        small = torch.stack([to_tensor(to_square(pictures[place], SIDE)) for place in places])
        known = training.over(background)
        distances, rows = nearest(small, known)
        distance[places] = distances[:, 0] / known[0].numel() ** 0.5
        row[places] = rows[:, 0]
    return Nearest(distance, row)


def copy_figures(
    drawn: Nearest,
    held_out: Nearest | None,
    training: TrainingPictures,
    asked: Sequence[str | None],
    groups: Sequence[object] | None = None,
) -> list[Figure]:
    """How far the nearest training picture is, of how many it shows the concept asked for, and how many are copies.

    asked: the concept of each picture. groups: what pictures have in common, as in `mean`.
    """
    count, known = len(drawn.distance), len(training.records)
    distance = mean(drawn.distance, groups)
    found = [Figure(name="nearest training", judge=JUDGE, interval=distance, pictures=count, real=known)]
    shown = [
        str(training.records[row].fields.get("concept")) == concept
        for row, concept in zip(drawn.row.tolist(), asked, strict=True)
        if concept is not None
    ]
    if shown:
        hits = share(sum(shown), len(shown))
        name = "nearest training shows concept"
        found.append(Figure(name=name, judge=JUDGE, unit="share", interval=hits, pictures=len(shown), real=known))
    if held_out is not None:
        limit = held_out.distance.quantile(USUAL)
        copies = share(int((drawn.distance < limit).sum()), count)
        found.append(
            Figure(
                name="copies", judge=JUDGE, unit="share", interval=copies, pictures=count, real=len(held_out.distance)
            )
        )
    return found
