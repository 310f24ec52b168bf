"""Pictures of a collection at one size, decoded once and kept in memory as far as that should go."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from safelight.data.backdrop import to_square
from safelight.data.record import BadSample, Record

KEPT_BYTES = 3 * 2**30  # of decoded pictures: 49,000 of 128 x 128
BYTES_PER_PIXEL = 4


class PictureCache:
    """The pictures of `records`, their middle squares scaled to `size` pixels, as RGBA."""

    def __init__(self, records: Sequence[Record], size: int) -> None:
        self.records = records
        self.size = size
        self.most = KEPT_BYTES // (BYTES_PER_PIXEL * size**2)
        self.kept: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Image.Image:
        """One picture; raises BadSample where it cannot be read. Several threads may ask at once."""
        if index in self.kept:
            return self.kept[index]
        picture = to_square(self.records[index].picture(), self.size)
        if len(self.kept) < self.most:
            self.kept[index] = picture
        return picture

    def can_be_read(self, index: int) -> bool:
        """Whether a picture is whole; an evaluation passes over those that are not."""
        try:
            self[index]
        except BadSample:
            return False
        return True
