"""Pictures that look alike: a hash that survives scaling and squeezing, a small copy to confirm it, a search in bands.

The hash is the sign of the lowest frequencies of the grey picture against their median, after the discrete cosine
transform (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from PIL import Image

SIDE = 32  # pixels of the picture that is transformed
LOWEST = 8  # frequencies across and down
SMALL = 8  # pixels across and down of the copy that confirms
BITS = 7  # of the 64 that may differ
DIFFERENCE = 6.0  # of 255, root mean square between two small copies
PAIRS_AT_ONCE = 2**20
GREY = numpy.array([0.299, 0.587, 0.114], dtype=numpy.float32)
FIRM = 4.0
LUMPS = SIDE // SMALL
FAINT = 2.0  # of 255: a picture that varies less over white is looked at over black


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """What a picture looks like: a hash of 64 bits, and a small copy (8, 8, 3) in 256 levels."""

    hash: int
    small: NDArray[numpy.uint8]


def likeness(picture: Image.Image) -> Likeness:
    """What an RGBA picture looks like over white, or over black where that hides it."""
    pixels = _over(picture.resize((SIDE, SIDE), Image.Resampling.BOX), 255)
    if pixels.std(axis=(0, 1)).max() < FAINT:
        pixels = _over(picture.resize((SIDE, SIDE), Image.Resampling.BOX), 0)
    low = (COSINES @ (pixels @ GREY) @ COSINES.T).ravel()
    bits = low > numpy.median(low) + FIRM
    small = pixels.reshape(SMALL, LUMPS, SMALL, LUMPS, 3).mean(axis=(1, 3))
    return Likeness(hash=int.from_bytes(numpy.packbits(bits).tobytes(), "big"), small=small.round().astype(numpy.uint8))


def _over(picture: Image.Image, shade: int) -> NDArray[numpy.float32]:
    pixels = numpy.asarray(picture, dtype=numpy.float32)
    alpha = pixels[..., 3:] / 255
    return (pixels[..., :3] * alpha + shade * (1 - alpha)).astype(numpy.float32)


def _cosines() -> NDArray[numpy.float32]:
    """The first rows of the orthonormal DCT-II, (8, 32)."""
    rows, columns = numpy.arange(LOWEST)[:, None], numpy.arange(SIDE)[None]
    waves = numpy.cos(numpy.pi * rows * (2 * columns + 1) / (2 * SIDE)) * numpy.sqrt(2 / SIDE)
    waves[0] /= numpy.sqrt(2)
    return waves.astype(numpy.float32)


COSINES = _cosines()


def alike(looks: list[Likeness]) -> list[tuple[int, int]]:
    """All pairs of places, the lower one first, whose pictures look alike, in order.

    Hashes that differ in at most 7 bits agree in one of 8 bands of bits at least, so that only pictures with a band in
    common are compared, all of them at once.
    """
    hashes = numpy.array([look.hash for look in looks], dtype=numpy.uint64)
    copies = numpy.array([look.small for look in looks], dtype=numpy.int16).reshape(len(looks), 3 * SMALL**2)
    found: set[tuple[int, int]] = set()
    for band in numpy.array_split(numpy.arange(64), BITS + 1):
        mask = numpy.uint64(sum(1 << int(bit) for bit in band))
        for places in _groups(hashes & mask):
            for one, other in _close(hashes, places):
                squares = (copies[one] - copies[other]).astype(numpy.float32) ** 2
                near = numpy.sqrt(squares.mean(axis=1)) <= DIFFERENCE
                found |= set(zip(one[near].tolist(), other[near].tolist(), strict=True))
    return sorted(found)


def _groups(values: NDArray[numpy.uint64]) -> Iterator[NDArray[numpy.intp]]:
    """The places of each value that comes more than once, in order."""
    order = numpy.argsort(values, kind="stable")
    ends = numpy.flatnonzero(numpy.diff(values[order])) + 1
    return (places for places in numpy.split(order, ends) if len(places) > 1)


def _close(
    hashes: NDArray[numpy.uint64], places: NDArray[numpy.intp]
) -> Iterator[tuple[NDArray[numpy.intp], NDArray[numpy.intp]]]:
    """Pairs of places, the lower one first, whose hashes differ in few bits; a part of them at a time."""
    rows = max(1, PAIRS_AT_ONCE // len(places))
    for start in range(0, len(places), rows):
        differing = hashes[places[start : start + rows], None] ^ hashes[None, places[start:]]
        one, other = numpy.nonzero(numpy.triu(_ones(differing) <= BITS, k=1))
        yield places[start + one], places[start + other]


def _ones(words: NDArray[numpy.uint64]) -> NDArray[numpy.uint64]:
    """How many bits of each word are set, by adding neighbours (Warren, "Hacker's Delight", section 5-1)."""
    pairs, fours, eights, ends = (
        numpy.uint64(pattern)
        for pattern in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)
    )
    words = words - ((words >> numpy.uint64(1)) & pairs)
    words = (words & fours) + ((words >> numpy.uint64(2)) & fours)
    words = (words + (words >> numpy.uint64(4))) & eights
    return (words * ends) >> numpy.uint64(56)
