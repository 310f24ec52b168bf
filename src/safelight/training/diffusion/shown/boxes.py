"""Labelled boxes beside the noisy latent, read by a text transformer that learns too (Rombach et al. 2022, 4.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from torch import Tensor

from safelight.conditioning import Box, box_tokens, most_boxes
from safelight.configs import BertConfig
from safelight.data.record import Record
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.text import BertEncoder
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.views import View

SIDES = ("left", "top", "right", "bottom")
ANYWHERE = Box(label=0, left=0, top=0, right=1, bottom=1)


def boxes_of(record: Record, labels: int) -> list[Box]:
    """The boxes in the field `boxes` of a record, places in [0, 1] of the whole picture.

    Raises BadInput, naming the sample, where it has none, one is no box, or its label is not below `labels`.
    """
    found = record.fields.get("boxes")
    if not isinstance(found, list) or not found:
        raise BadInput(
            f"Sample {record.key!r} has boxes = {found!r}; it must be a list of objects with label, {', '.join(SIDES)}."
        )
    boxes = []
    for entry in found:
        if not isinstance(entry, Mapping) or set(entry) != {"label", *SIDES}:
            raise BadInput(f"Sample {record.key!r} has the box {entry!r}; it must have label, {', '.join(SIDES)}.")
        try:
            box = Box(**entry)
        except BadInput as error:
            raise BadInput(f"Sample {record.key!r} has the box {entry!r}: {error}") from error
        if box.number >= labels:
            raise BadInput(f"Sample {record.key!r} has the label {box.label!r}; the model knows 0 to {labels - 1}.")
        boxes.append(box)
    return boxes


class ShownBoxes:
    """What stands where, in any order; boxes that lie outside what is seen of the picture are left out.

    Raises BadInput, naming it, for a record without boxes that the transformer can be told.
    """

    def __init__(self, config: BertConfig, records: Sequence[Record]) -> None:
        self.config = config
        for record in records:
            boxes_of(record, config.vocabulary - 1)

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """Their tokens, (n,) int64."""
        boxes = self._seen(view)
        random.shuffle(boxes)
        return {"boxes": self._tokens(boxes)}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same in the order of the file."""
        return {"boxes": self._tokens(self._seen(view))}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The transformer's hidden states."""
        encoder = learner.parts.text_encoder
        assert isinstance(encoder, BertEncoder)
        return Conditioning(context=encoder(batch["boxes"].to(next(encoder.parameters()).device)))

    def request(self, view: View) -> dict[str, Any]:
        """The boxes."""
        return {"boxes": self._seen(view)[: most_boxes(self.config)] or [ANYWHERE]}

    def _tokens(self, boxes: Sequence[Box]) -> Tensor:
        tokens = box_tokens(boxes[: most_boxes(self.config)] or [ANYWHERE], self.config)[0]
        if not boxes:
            tokens[:3] = self.config.vocabulary - 1  # what stands for no box
        return tokens

    def _seen(self, view: View) -> list[Box]:
        size = view.record.picture().size
        window = view.window(size)
        left, right = window[0] / size[0], window[2] / size[0]
        top, bottom = window[1] / size[1], window[3] / size[1]
        found = []
        for box in boxes_of(view.record, self.config.vocabulary - 1):
            across = sorted(_within((side - left) / (right - left), view.flipped) for side in (box.left, box.right))
            down = [_within((side - top) / (bottom - top), False) for side in (box.top, box.bottom)]
            if across[0] < across[1] and down[0] < down[1]:
                found.append(Box(label=box.label, left=across[0], top=down[0], right=across[1], bottom=down[1]))
        return found


def _within(place: float, mirrored: bool) -> float:
    inside = min(max(place, 0.0), 1.0)
    return 1 - inside if mirrored else inside
