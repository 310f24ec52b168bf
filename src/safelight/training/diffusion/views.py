"""One way to see a record: over which colour, cut to which size, mirrored or not; its companions are seen likewise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageOps
from torch import Tensor

from safelight.data.backdrop import COLOURS, is_cut_out, on_colour, with_background
from safelight.data.buckets import buckets, nearest_bucket
from safelight.data.captions import names_a_side
from safelight.data.decoding import to_rgba
from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion.settings import ViewsConfig
from safelight.weights.parts import Parts

NUMBERS = ("1", "L", "P", "I", "I;16")  # modes of pictures that hold numbers, and no colours
MIDDLE = 0.5


@dataclass(frozen=True)
class View:
    """A record over the background of that name.

    size: width and height in pixels. flipped: seen in a mirror. place: where it is cut if it is not of that shape; 0 is
    the left or the top of it, 1 the right or the bottom.
    """

    record: Record
    colour: str
    size: tuple[int, int]
    flipped: bool = False
    place: float = MIDDLE

    @property
    def captions(self) -> list[str]:
        """Those that are true of it."""
        return [with_background(caption, self.colour) for caption in self.record.captions]

    def picture(self) -> Image.Image:
        """RGB, of its size; raises BadSample."""
        return self.of(self.record.picture())

    def of(self, picture: Image.Image) -> Image.Image:
        """The record's picture in RGBA, where it is at hand -> RGB, of the view's size."""
        return on_colour(self._fitted(picture, Image.Resampling.LANCZOS), COLOURS[self.colour])

    def image(self) -> Tensor:
        """(3, height, width) in [-1, 1]."""
        return to_tensor(self.picture())

    def companion(self, name: str) -> Image.Image:
        """Another picture of the record, in RGB, cut and turned as this one; raises BadInput where there is none."""
        return self.of(to_rgba(self.record.companion(name)))

    def numbers(self, name: str) -> Image.Image:
        """Another picture of the record, of numbers, which are never mixed, cut and turned as this one."""
        found = self.record.companion(name)
        if found.mode not in NUMBERS:
            raise BadInput(
                f"The {name} picture of sample {self.record.key!r} is in {found.mode}; it must be grey or have a "
                "palette: numbers, no colours."
            )
        return self._fitted(found, Image.Resampling.NEAREST)

    def window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part of a picture of that size that is seen: left, top, right and bottom, in pixels."""
        width, height = size
        wide, high = self.size
        if width * high >= height * wide:
            seen = max(1, round(height * wide / high))
            left = int((width - seen) * self.place)
            return left, 0, left + seen, height
        seen = max(1, round(width * high / wide))
        top = int((height - seen) * self.place)
        return 0, top, width, top + seen

    def _fitted(self, picture: Image.Image, mixing: Image.Resampling) -> Image.Image:
        window = self.window(picture.size)
        if window != (0, 0, *picture.size):
            picture = picture.crop(window)
        if picture.size != self.size:
            picture = picture.resize(self.size, mixing)
        return ImageOps.mirror(picture) if self.flipped else picture


@dataclass(frozen=True, kw_only=True)
class Framing:
    """The views that a collection is seen in.

    sizes: widths and heights in pixels; each picture is seen in the one that is nearest to its shape. colours: what
    cut-out pictures are laid over. flip: everything is seen in a mirror too, unless a caption names a side. cuts: the
    number of places at which a picture of another shape is cut. colours_each: how many of the colours each picture is
    laid over, the first and some by lot; 0 is all of them. cut_outs: nothing but cut-out pictures is seen.
    """

    sizes: Sequence[tuple[int, int]]
    colours: Sequence[str] = ("white",)
    flip: bool = False
    cuts: int = 1
    colours_each: int = 0
    cut_outs: bool = False

    def views(self, record: Record, picture: Image.Image) -> Iterator[View]:
        """All views of a record, whose picture in RGBA is at hand."""
        size = self.sizes[nearest_bucket(picture.size, self.sizes)]
        whole = View(record, "white", size).window(picture.size) == (0, 0, *picture.size)
        cut_out = is_cut_out(picture)
        if self.cut_outs and not cut_out:
            return
        for place in (MIDDLE,) if whole else places(self.cuts):
            for flipped in (False, True) if self.turns(record) else (False,):
                for colour in self.colours_of(record) if cut_out else ("white",):
                    yield View(record, colour, size, flipped, place)

    def colours_of(self, record: Record) -> Sequence[str]:
        """What a cut-out record is laid over; the same each time."""
        first, *others = self.colours
        if not self.colours_each or self.colours_each > len(others):
            return self.colours
        return [first, *Random(record.key).sample(others, self.colours_each - 1)]

    def turns(self, record: Record) -> bool:
        """Whether a record is seen in a mirror too."""
        return self.flip and not any(map(names_a_side, record.captions))


def framing_of(parts: Parts, data: ViewsConfig) -> Framing:
    """How a model of these parts sees a collection while it is trained; raises BadInput for buckets that do not fit."""
    factor = parts.autoencoder.config.factor
    side = parts.unet.config.sample_size * factor
    sizes = [(side, side)]
    if data.shapes == "buckets":
        multiple = factor * 2 ** (len(parts.unet.config.channels) - 1)
        if data.bucket_step % multiple:
            raise BadInput(
                f"data.bucket_step is {data.bucket_step}; this model draws sides that are multiples of {multiple}."
            )
        sizes = buckets(side, data.bucket_step, data.longest or 2 * side)
    return framed(data, sizes)


def framed(data: ViewsConfig, sizes: Sequence[tuple[int, int]]) -> Framing:
    """How pictures of such sizes are seen under some settings."""
    return Framing(sizes=sizes, colours=data.colours, flip=data.flip, cuts=data.cuts, colours_each=data.colours_each)


def places(count: int) -> tuple[float, ...]:
    """Where a picture is cut: in its middle, or that many times from end to end."""
    return (MIDDLE,) if count == 1 else tuple(number / (count - 1) for number in range(count))
