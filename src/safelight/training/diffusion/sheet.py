"""The sample sheet: what the model draws now, above what it was drawn from or what it comes closest to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from PIL import Image, ImageOps
from torch import nn

from safelight.data.record import BadSample
from safelight.images import grid
from safelight.pipeline import Pipeline
from safelight.training.diffusion.shown import Shown
from safelight.training.diffusion.views import View

notes = logging.getLogger(__name__)


def drawable(shown: Shown, views: Iterable[View]) -> Iterator[View]:
    """The views whose condition can be read; a warning names each that cannot be."""
    for view in views:
        try:
            shown.request(view)
        except BadSample as error:
            notes.warning("%s It is left out of the sheet.", error)
        else:
            yield view


def requests(shown: Shown, views: Sequence[View], prompts: Sequence[str]) -> list[dict[str, Any]]:
    """The calls that make a sheet: one for each prompt, or for each view where a model draws from more than a text."""
    if prompts:
        return [
            {**shown.request(views[number % len(views)]), "prompt": prompt} for number, prompt in enumerate(prompts)
        ]
    return [request for request in map(shown.request, views) if request.keys() != {"prompt"}]


class Drawings:
    """What the present weights draw at these calls, with the same seeds each time; drawn once for the same weights."""

    def __init__(self, network: nn.Module, calls: Sequence[dict[str, Any]], pipeline: Callable[[], Pipeline]) -> None:
        self.network = network
        self.calls = calls
        self.pipeline = pipeline
        self.drawn: tuple[tuple[int, ...], list[Image.Image]] = ((), [])

    def pictures(self) -> list[Image.Image]:
        """One for each call."""
        weights = tuple(parameter._version for parameter in self.network.parameters())
        if self.drawn[0] != weights:
            pipeline = self.pipeline()
            found = [pipeline(**call, seed=seed).images[0] for seed, call in enumerate(self.calls)]
            self.drawn = tuple(parameter._version for parameter in self.network.parameters()), found
        return self.drawn[1]


def sheet_of(drawn: Sequence[Image.Image], below: Sequence[Image.Image]) -> Image.Image:
    """Two grids of pictures, one above the other, all as large as the first picture."""
    size = drawn[0].size
    above, under = (grid([_fitted(picture, size) for picture in pictures]) for pictures in (drawn, below))
    return grid([above, under], columns=1)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else ImageOps.pad(picture.convert("RGB"), size, color="white")
