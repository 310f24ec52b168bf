"""Scenes: two or three things in one picture, and the words that say where each is.

A collection of single things does not show what "to the left of" or "three" means; scenes of its things do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from safelight.data.captions import with_adjective
from safelight.data.plurals import plural
from safelight.data.record import Record
from safelight.data.styles import Styles

HALF, SMALL, LARGE = 8, 6, 10  # how wide and high a thing is, in sixteenths of the picture
SIZES = {  # what is said of a thing so large; with "" among them, nothing now and then
    HALF: ("",),
    SMALL: ("small", "little", "tiny"),
    LARGE: ("big", "big", "large", "huge", ""),
}
# {a} stands where a reader begins. What turns the two about is said as often as what does not: it is harder to learn,
# for each thing has to be drawn at the other's turn.
ACROSS = (
    *("{a} to the left of {b}", "{a} left of {b}", "{a} next to {b}", "{a} beside {b}", "{a} and {b}"),
    *("{b} to the right of {a}", "{b} right of {a}", "{b} on the right of {a}") * 2,
)
DOWN = (
    *("{a} above {b}", "{a} on top of {b}", "{a} over {b}"),
    *("{b} under {a}", "{b} below {a}", "{b} beneath {a}"),
)


@dataclass(frozen=True)
class Place:
    """From the top, from the left, and how wide and high: in sixteenths of the picture."""

    top: int
    left: int
    size: int = HALF


@dataclass(frozen=True)
class Layout:
    """The places of a scene's things, and the sentences that say so of {a} and {b}, or of {more} of a kind."""

    places: tuple[Place, ...]
    sentences: tuple[str, ...]

    @property
    def counts(self) -> bool:
        """Whether all its things are of a kind."""
        return "{more}" in self.sentences[0]


LAYOUTS = {
    "across": Layout((Place(4, 0), Place(4, 8)), ACROSS),
    "down": Layout((Place(0, 4), Place(8, 4)), DOWN),
    "two": Layout((Place(4, 0), Place(4, 8)), ("two {more}",)),
    "three": Layout((Place(0, 4), Place(8, 0), Place(8, 8)), ("three {more}",)),
    "small, large": Layout((Place(6, 0, SMALL), Place(3, 6, LARGE)), ACROSS),
    "large, small": Layout((Place(3, 0, LARGE), Place(6, 10, SMALL)), ACROSS),
    "small over large": Layout((Place(0, 5, SMALL), Place(6, 3, LARGE)), DOWN),
    "large over small": Layout((Place(0, 3, LARGE), Place(10, 5, SMALL)), DOWN),
}
OFTEN = {"across": 2, "down": 2}  # the others once


@dataclass(frozen=True)
class Scene:
    """What is where: the things at the places of their layout, in words."""

    layout: str
    things: tuple[Record, ...]
    caption: str


def scene_with(first: Record, others: Sequence[Record], styles: Styles, random: Random) -> Scene:
    """A scene of a thing, and one of some others of its style or more of its kind.

    The first captions are the things' names. The others must not be empty.
    """
    more = plural(first.captions[0])
    names = [name for name, layout in LAYOUTS.items() if more or not layout.counts]
    name = random.choices(names, [OFTEN.get(name, 1) for name in names])[0]
    layout = LAYOUTS[name]
    things = (first,) * len(layout.places) if layout.counts else (first, random.choice(others))
    a, b, *_ = (
        sized(thing.captions[0], place.size, random) for thing, place in zip(things, layout.places, strict=True)
    )
    said = random.choice(layout.sentences).format(a=a, b=b, more=more)
    return Scene(name, things, styles.sentence(said, things, random))


def sized(caption: str, size: int, random: Random) -> str:
    """A caption with one of the words for a thing so large: "a small dog"."""
    word = random.choice(SIZES[size])
    return with_adjective(caption, word) if word else caption
