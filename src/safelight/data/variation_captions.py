"""What the captions of a thing become when it is painted, or laid over a sky."""

from __future__ import annotations

import re
from random import Random

from safelight.data.captions import with_adjective
from safelight.data.colour_names import COLOUR_WORDS
from safelight.data.record import Record

COLOURED = {*COLOUR_WORDS, "grey", "violet", "golden", "gold", "silver", "bronze", "rainbow"}

BACKDROP = (
    "background"  # the style of a picture that others are laid over, and a word that is not said of what is there
)
UNDER = "{thing} under {sky}"  # said of what is called a sky
BEHIND = "{thing}, {sky} behind it"  # said of one thing
BEFORE = ("{thing} in front of {sky}", "{thing} against {sky}")


def words(text: str) -> set[str]:
    """The words of a text in small letters; "man's" is one, and not "man"."""
    return set(re.findall(r"[\w']+", text.lower()))


def names_a_colour(text: str) -> bool:
    """Whether a text says already what colour something has."""
    return not COLOURED.isdisjoint(words(text))


def coloured(record: Record, colour: str) -> list[str]:
    """The captions of a record, which has some, with the colour before the name; and "a fox, blue"."""
    first, phrase = record.captions[0], record.fields.get("style_phrase")
    named = with_adjective(first, colour)
    styled = [f"{named}, {phrase}"] if phrase else []
    return list(dict.fromkeys([named, f"{first}, {colour}", *styled, *_reworded(record, named)]))


def before_sky(record: Record, sky: Record, random: Random) -> list[str]:
    """The captions of a record, which has some, before a sky: once by each of the sky's names.

    The sky must have one of `sky_names`.
    """
    first = record.captions[0]
    single = with_article(first)
    said = []
    for name in sky_names(sky):
        sentences = [*([UNDER] if "sky" in words(name) else []), *([BEHIND] if single else []), *BEFORE]
        said += [sentence.format(thing=first, sky=name) for sentence in random.sample(sentences, 2)]
    before = random.choice(BEFORE).format(thing=first, sky=random.choice(sky_names(sky)))
    return list(dict.fromkeys([*said, *_reworded(record, before)]))


def with_article(caption: str) -> bool:
    """Whether a caption begins with "a" or "an", and so is about one thing."""
    return caption.lower().startswith(("a ", "an "))


def sky_names(sky: Record) -> list[str]:
    """Those captions of a backdrop that name what is seen there, and say neither tags nor that it is one."""
    return [caption for caption in sky.captions if "," not in caption and BACKDROP not in words(caption)]


def _reworded(record: Record, said: str) -> list[str]:
    """The other captions that hold the first one, with something else said instead; none that names a colour."""
    first = re.compile(rf"\b{re.escape(record.captions[0])}(?!\w)")
    return [
        first.sub(lambda _: said, caption)
        for caption in record.captions[1:]
        if first.search(caption) and not names_a_colour(first.sub("", caption))
    ]
