"""Scenes: two or three things in one picture, and the words that say where each is.

A collection of single things does not show what "to the left of" or "three" means; scenes of its things do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from safelight.data.plurals import plural
from safelight.data.record import Record
from safelight.data.styles import Styles

PLACES = {  # of things half as wide and high as the picture: from its top and its left, in quarters of it
    "across": ((1, 0), (1, 2)),
    "down": ((0, 1), (2, 1)),
    "two": ((1, 0), (1, 2)),
    "three": ((0, 1), (2, 0), (2, 2)),
}
OF_A_KIND = {"two": "two {more}", "three": "three {more}"}
OF_TWO_KINDS = {
    "across": (
        "{a} to the left of {b}",
        "{b} to the right of {a}",
        "{a} left of {b}",
        "{b} right of {a}",
        "{a} next to {b}",
        "{a} beside {b}",
        "{a} and {b}",
    ),
    "down": ("{a} above {b}", "{b} under {a}", "{b} below {a}", "{a} on top of {b}", "{a} over {b}"),
}


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
    layout = random.choice([layout for layout in PLACES if more or layout not in OF_A_KIND])
    if layout in OF_A_KIND:
        things = (first,) * len(PLACES[layout])
        said = OF_A_KIND[layout].format(more=more)
    else:
        things = (first, random.choice(others))
        a, b = (thing.captions[0] for thing in things)
        said = random.choice(OF_TWO_KINDS[layout]).format(a=a, b=b)
    return Scene(layout, things, styles.sentence(said, things, random))
