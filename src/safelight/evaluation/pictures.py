"""Pictures to be judged, read when they are asked for, and the backgrounds that cut-out ones are laid over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import overload

from PIL import Image

from safelight.data.backdrop import COLOURS, on_colour, to_square
from safelight.data.collection import Record
from safelight.data.fingerprint import picture_digests

WHITE_SHARE = 0.5  # of cut-out pictures

Backdrop = Callable[[Record], str]


class Pictures(Sequence[Image.Image]):
    """The pictures of records as RGB, each over its background.

    side: the centre square in that many pixels; None leaves them as they are.
    """

    def __init__(self, records: Sequence[Record], backdrop: Backdrop, side: int | None = None) -> None:
        self.records = records
        self.backdrop = backdrop
        self.side = side

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> Image.Image | Pictures:
        if isinstance(index, slice):
            return Pictures(self.records[index], self.backdrop, self.side)
        record = self.records[index]
        picture = record.picture()
        if self.side is not None:
            picture = to_square(picture, self.side)
        return on_colour(picture, COLOURS[self.backdrop(record)])

    def fingerprint(self) -> str:
        """A hash that tells these pictures from others: of their files, backgrounds and side, in their order."""
        digest = hashlib.sha256(f"{self.side}".encode())
        for record, picture in zip(self.records, picture_digests(self.records), strict=True):
            digest.update(picture + self.backdrop(record).encode())
        return digest.hexdigest()


def on_white(record: Record) -> str:
    """White for each."""
    return "white"


def own_backdrop(record: Record) -> str:
    """What its field `background` names; white for a picture without one."""
    named = str(record.fields.get("background"))
    return named if named in COLOURS else "white"


def mixed_backdrops(seed: int) -> Backdrop:
    """White for half of the pictures, else any other colour: always the same one for a name and a seed."""
    others = [name for name in COLOURS if name != "white"]

    def choose(record: Record) -> str:
        drawn = hashlib.sha256(f"{seed} {record.key}".encode("utf-8", "replace")).digest()
        return "white" if drawn[0] < 256 * WHITE_SHARE else others[drawn[1] % len(others)]

    return choose
