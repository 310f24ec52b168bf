"""A collection by things and styles: which pairs were drawn, which were not, and the latents of those that were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.training.diffusion.latents import LatentSet


class Pair(NamedTuple):
    """A thing, as the field `concept` names it, and the place of a style among all."""

    thing: str
    style: int


class Drawings:
    """The latents of drawings, by thing and style; those that were derived from others do not count.

    Raises BadInput where the collection has fewer than two styles, or no thing in two of them.
    """

    def __init__(self, latents: LatentSet) -> None:
        self.latents = latents
        drawn = [rows[0] for rows in latents.rows if _is_drawing(latents.views[rows[0]].record)]
        self.styles = sorted({str(self._record(row).fields["style"]) for row in drawn})
        self.rows: dict[str, dict[int, int]] = defaultdict(dict)
        for row in drawn:
            thing, style = self.pair_of(self._record(row))
            self.rows[thing].setdefault(style, row)
        self.drawn = [Pair(thing, style) for thing, found in self.rows.items() for style in found if len(found) > 1]
        if not self.drawn:
            raise BadInput(
                f"None of the {len(latents.rows)} pictures shows a thing that another shows in another style; their "
                "fields `concept` and `style` must say so."
            )

    def pair_of(self, record: Record) -> Pair:
        """What a record of one of the styles shows."""
        return Pair(str(record.fields["concept"]), self.styles.index(str(record.fields["style"])))

    def missing(self) -> list[Pair]:
        """The pairs that were not drawn."""
        return [
            Pair(thing, style)
            for thing, found in self.rows.items()
            for style in range(len(self.styles))
            if style not in found
        ]

    def others(self, pair: Pair) -> list[int]:
        """The styles in which the thing was drawn, but for that of the pair."""
        return [style for style in self.rows.get(pair.thing, ()) if style != pair.style]

    def latent(self, pair: Pair) -> Tensor:
        """The drawing of a pair: (c, h, w), float32."""
        return self.latents[self.rows[pair.thing][pair.style]].float()

    def record(self, pair: Pair) -> Record:
        """The record of a pair that was drawn."""
        return self._record(self.rows[pair.thing][pair.style])

    def shown(self, thing: str, styles: Collection[int]) -> tuple[Tensor, Tensor]:
        """Its drawings in those styles, (s, c, h, w) with zeros elsewhere, and (s,): 1 where there is one."""
        every = torch.zeros(len(self.styles), *self.latents[0].shape)
        there = torch.zeros(len(self.styles))
        for style in styles:
            every[style], there[style] = self.latent(Pair(thing, style)), 1.0
        return every, there

    def known(self, records: Sequence[Record]) -> list[tuple[int, Pair]]:
        """Of other records the places and pairs of those that show a thing which was drawn in another style."""
        found = [
            (place, self.pair_of(record))
            for place, record in enumerate(records)
            if _is_drawing(record) and record.fields["style"] in self.styles
        ]
        return [(place, pair) for place, pair in found if self.others(pair)]

    def _record(self, row: int) -> Record:
        return self.latents.views[row].record


def _is_drawing(record: Record) -> bool:
    fields = record.fields
    return bool(fields.get("concept") and fields.get("style")) and "derived_from" not in fields
