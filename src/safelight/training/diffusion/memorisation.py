"""Whether a model draws its training pictures: each drawn picture beside the nearest of them.

Two measures, both of Euclidean distances between small pictures. One compares
with the training pictures themselves: closer than nearly all of them are to each other is a copy. The other is
Carlini et al. 2023: the distance to the nearest in units of half the mean distance to the 50 nearest; far
below 1, one training picture is much closer than all others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from safelight.data.collection import some_of
from safelight.data.record import BadSample
from safelight.evaluation.nearest import nearest
from safelight.training.diffusion.views import View

SIDE = 32  # pixels
MOST = 20_000  # training pictures that drawn ones are compared with: all of a larger set would take hours to read
COMPARED = 1024  # training pictures whose nearest neighbours say how close such pictures usually are
CLOSEST = 0.05  # the share of them that has a neighbour as close as a copy
NEIGHBOURS, HALF = 50, 0.5  # n and alpha of Carlini et al.

notes = logging.getLogger(__name__)


def small_pixels(pictures: Sequence[Image.Image]) -> Tensor:
    """(n, 3072): the pixels in [0, 1] at 32 x 32."""
    small = [picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for picture in pictures]
    return torch.from_numpy(numpy.stack([numpy.asarray(picture) for picture in small])).flatten(1).float() / 255


class Memorisation:
    """The training pictures at 32 x 32 pixels, each in its usual view and once; of very many a part, drawn by lot."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views: list[View] = []
        described = []
        for view in tqdm(
            some_of(views, MOST), desc="pictures to compare with", unit="picture", disable=None, leave=False
        ):
            try:
                described.append(small_pixels([view.picture()]))
            except BadSample as error:
                notes.warning("%s It is not compared with.", error)
                continue
            self.views.append(view)
        self.known = torch.cat(described)
        self.usual = _closest(self.known)

    def figures(self, drawn: Sequence[Image.Image]) -> dict[str, float]:
        """`copies`: the share of pictures closer to a training picture than 95 % of these are to each other.

        `copy_ratio`: the smallest ratio of Carlini et al. 2023 among them.
        """
        with torch.autocast("cpu", enabled=False):
            distances, _ = nearest(small_pixels(drawn), self.known, min(NEIGHBOURS, len(self.known)))
        ratios = distances[:, 0] / (HALF * distances.mean(1)).clamp(min=1e-12)
        copies = (distances[:, 0] < self.usual).double().mean()
        return {"copies": float(copies), "copy_ratio": float(ratios.min())}

    def nearest_views(self, drawn: Sequence[Image.Image]) -> list[View]:
        """The training picture that is nearest to each."""
        with torch.autocast("cpu", enabled=False):
            _, places = nearest(small_pixels(drawn), self.known)
        return [self.views[place] for place in places[:, 0].tolist()]


def _closest(known: Tensor) -> float:
    """The distance below which the closest of the pictures lie from their neighbours; 0 where there is one picture."""
    if len(known) < 2:
        return 0.0
    step = -(-len(known) // COMPARED)
    with torch.autocast("cpu", enabled=False):
        distances, _ = nearest(known[::step], known, 2)  # the nearest of all is the picture itself
    return float(distances[:, 1].quantile(CLOSEST))
