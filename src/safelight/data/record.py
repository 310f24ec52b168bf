"""One sample of a collection: a picture, its captions, what else is known of it, and the pictures that belong to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, TypeVar

from PIL import Image

from safelight.data.decoding import PICTURE_SUFFIXES, decoded, to_rgba
from safelight.errors import BadInput

COMPANIONS = ("before", "control", "depth", "map", "mask")  # `fox.control.png` belongs to `fox.png`
VALIDATION_SHARE = 0.03  # of samples that do not name their split
Seen = TypeVar("Seen")


def keys(names: Iterable[str]) -> Iterator[str]:
    """The key of the picture of each name: the name without its ending, or whole where that key is taken."""
    taken: set[str] = set()
    for name in names:
        ending = PurePosixPath(name).suffix
        short = name.removesuffix(ending)
        key = short if ending.lower() in PICTURE_SUFFIXES and short not in taken else name
        taken.add(key)
        yield key


class BadSample(BadInput):
    """A picture of one sample cannot be read; the others can, so that training may go on without it."""


@dataclass(frozen=True)
class Record:
    """One picture and what is known of it; the picture's bytes are read when they are needed, and so are the others'.

    others: the pictures that belong to it, by what they are: names of `COMPANIONS`.
    """

    key: str
    captions: tuple[str, ...]
    fields: dict[str, Any]
    read: Callable[[], bytes]
    others: Mapping[str, Callable[[], bytes]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def split(self) -> str:
        """`train` or `val`: the field of that name, otherwise decided by a hash of the key."""
        if self.fields.get("split"):  # an empty cell of a table says nothing
            return str(self.fields["split"])
        digest = hashlib.sha256(self.key.encode("utf-8", "replace")).digest()
        return "val" if digest[0] / 256 < VALIDATION_SHARE else "train"

    def picture(self) -> Image.Image:
        """The picture as RGBA, upright; raises BadSample, naming the sample, where it cannot be read."""
        return self.seen(lambda content: to_rgba(decoded(content)))

    def companion(self, name: str) -> Image.Image:
        """Another picture of the sample, upright and in its own mode, so that the numbers in a map or a depth stay.

        Raises BadInput where the sample has none of that name, and BadSample where it cannot be read.
        """
        if name not in self.others:
            known = ", ".join(sorted(self.others)) or "none"
            raise BadInput(f"Sample {self.key!r} has no picture {self.key + '.' + name + '.png'!r}; it has {known}.")
        return _read(self.others[name], decoded, f"The {name} picture of sample {self.key!r}")

    def seen(self, decode: Callable[[bytes], Seen]) -> Seen:
        """What a function makes of the picture's bytes; raises BadSample, naming the sample, where that fails."""
        return _read(self.read, decode, f"The picture of sample {self.key!r}")


def _read(read: Callable[[], bytes], decode: Callable[[bytes], Seen], what: str) -> Seen:
    try:
        return decode(read())
    except Exception as error:  # a damaged file makes Pillow's readers fail in every way there is
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadSample(f"{what} cannot be read: {reason}.") from error
