"""Labelled boxes as token ids, which a text transformer reads (layout to image, Rombach et al. 2022, section 4.3.1).

Each box is three tokens: its label, its top left and its bottom right corner; a corner is the number of its cell on a
square grid. Places that are not used hold the last token of the vocabulary. The two tokens at the end are the corners
of the part that is drawn: here always the whole picture. So it is done in taming/data/conditional_builder
(CompVis/taming-transformers) and rdm/data/openimages_bbox_helpers (CompVis/retrieval-augmented-diffusion-models).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from safelight.conditioning.open_images import open_images_number
from safelight.configs import BertConfig
from safelight.errors import BadInput

TOKENS = 3  # of a box
FRAME = 2  # tokens of the part that is drawn


@dataclass(frozen=True, kw_only=True)
class Box:
    """A labelled place in a picture.

    label: what stands there, by the name that it has in OpenImages (`open_images.NAMES`), or by its number in the data
    that the model was trained on. left, top, right, bottom: in [0, 1], of the picture's width and height.
    """

    label: int | str
    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if isinstance(self.label, bool) or not isinstance(self.label, int | str) or self.number < 0:
            raise BadInput(f"label is {self.label!r}; it must be a name, or a number that is not negative.")
        for name in ("left", "top", "right", "bottom"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise BadInput(f"{name} is {value!r}; it must be a number from 0 to 1.")
        if self.left >= self.right or self.top >= self.bottom:
            raise BadInput(
                f"The box from ({self.left}, {self.top}) to ({self.right}, {self.bottom}) is empty; left must be less "
                "than right, and top less than bottom."
            )

    @property
    def number(self) -> int:
        """The label as a number; raises BadInput for an unknown name."""
        return self.label if isinstance(self.label, int) else open_images_number(self.label)


def most_boxes(config: BertConfig) -> int:
    """How many boxes a layout model can be given: 30 for a length of 92."""
    return (config.length - FRAME) // TOKENS


def box_tokens(boxes: Sequence[Box], config: BertConfig) -> Tensor:
    """Boxes -> (1, config.length) int64, in the order given; the model has seen them in any order.

    Raises BadInput for no boxes, too many, and labels beyond the vocabulary.
    """
    most, unused = most_boxes(config), config.vocabulary - 1
    if config.length != most * TOKENS + FRAME:
        raise BadInput(f"The transformer reads {config.length} tokens; boxes fill a multiple of {TOKENS} and {FRAME}.")
    if not 1 <= len(boxes) <= most:
        raise BadInput(f"boxes holds {len(boxes)} boxes; this model takes 1 to {most}.")
    for box in boxes:
        if not isinstance(box, Box):
            raise BadInput(f"boxes holds {box!r}; each must be a safelight.conditioning.Box.")
    if (highest := max(box.number for box in boxes)) >= unused:
        raise BadInput(f"label is {highest}; this model knows 0 to {unused - 1}.")
    cells = math.isqrt(config.vocabulary)
    tokens = [token for box in boxes for token in _box_tokens(box, cells)]
    tokens += [unused] * (most * TOKENS - len(tokens))
    return torch.tensor([[*tokens, corner_token(0, 0, cells), corner_token(1, 1, cells)]])


def corner_token(x: float, y: float, cells: int) -> int:
    """A point in [0, 1] x [0, 1] as the number of the nearest of `cells` x `cells` grid points, row by row."""
    return round(y * (cells - 1)) * cells + round(x * (cells - 1))


def _box_tokens(box: Box, cells: int) -> tuple[int, int, int]:
    return box.number, corner_token(box.left, box.top, cells), corner_token(box.right, box.bottom, cells)
